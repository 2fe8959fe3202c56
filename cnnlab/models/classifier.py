"""The interface of every classification network: `Classifier(backbone, head)`."""

import jax
import jax.numpy as jnp

from cnnlab.models.network import Network


class Classifier(Network):
    """A network that maps images to one logit per class."""

    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
        """Maps normalised float images [batch, height, width, channels] to logits [batch, classes].

        Logits are always float32.

        Raises:
          UserError: the images have another rank, an integer dtype, or are too small.
        """
        features = self.features(images, train=train)
        return self.head(features, train=train).astype(jnp.float32)
