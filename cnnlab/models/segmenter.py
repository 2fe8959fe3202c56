"""The contract of every segmentation network: `Segmenter(backbone, head)`."""

import jax
import jax.numpy as jnp

from cnnlab.models.network import Network


class Segmenter(Network):
    """Maps images to logits, one for each class at every pixel; see `Network`.

    The head is given the backbone's feature maps and the images, `head(features, images, train=)`:
    it brings its logits to the size of the images, and may look at their pixels again.
    """

    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
        """Maps normalised float images [batch, height, width, channels] to logits.

        Logits are float32 [batch, height, width, classes], whatever the type of computation. A
        network without padding gives the middle of that map.

        Raises:
          UserError: images of another rank, of an integer type, or too small.
        """
        features = self.features(images, train=train)
        return self.head(features, images, train=train).astype(jnp.float32)
