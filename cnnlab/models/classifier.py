"""The contract of every classification network: `Classifier(backbone, head)`."""

import jax
import jax.numpy as jnp

from cnnlab.models.network import Network


class Classifier(Network):
    """Maps images to logits, one for each class; see `Network`."""

    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
        """Maps normalised float images [batch, height, width, channels] to logits [batch, classes].

        Logits are float32, whatever the type of computation.

        Raises:
          UserError: images of another rank, of an integer type, or too small.
        """
        features = self.features(images, train=train)
        return self.head(features, train=train).astype(jnp.float32)
