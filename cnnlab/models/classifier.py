"""The contract of every classification network: `Classifier(backbone, head)`.

Parameters are `{"backbone": ..., "head": ...}` for every architecture, so that fine-tuning,
freezing and new heads work the same on all of them.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.errors import UserError


class Classifier(nn.Module):
    """Maps images to logits: `head(backbone(images))`.

    Attributes:
      backbone: maps [batch, height, width, channels] to a tuple of feature maps, fine to coarse;
        its attribute `strides` says by how much each is smaller than the image.
      head: maps those feature maps to logits.
      min_size: smallest height and width in pixels that the architecture can take.
      small_image_hint: what else a user with smaller images can do, for the error message.
      freeze_batch_stats: the backbone runs as in evaluation also where `train` is set: its batch
        statistics are used and do not move, its dropout is off. `model.clone` changes it.
    """

    backbone: nn.Module
    head: nn.Module
    min_size: int = 1
    small_image_hint: str = ""
    freeze_batch_stats: bool = False

    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
        """Maps normalised float images [batch, height, width, channels] to logits [batch, classes].

        Logits are float32, whatever the type of computation.

        Raises:
          UserError: images of another rank, of an integer type, or too small.
        """
        features = self.features(images, train=train)
        return self.head(features, train=train).astype(jnp.float32)

    def features(self, images: jax.Array, *, train: bool = False) -> tuple[jax.Array, ...]:
        """Maps images to the backbone's feature maps, from fine to coarse."""
        self._check(images)
        return self.backbone(images, train=train and not self.freeze_batch_stats)

    def _check(self, images: jax.Array) -> None:
        architecture = type(self.backbone).__name__
        if images.ndim != 4:
            raise UserError(
                f"{architecture} wants images [batch, height, width, channels], got shape "
                f"{tuple(images.shape)}."
            )
        if not jnp.issubdtype(images.dtype, jnp.floating):
            raise UserError(
                f"{architecture} wants normalised float images, got {images.dtype}; see "
                "cnnlab.data.augment.make_normalize."
            )
        if min(images.shape[1:3]) < self.min_size:
            raise UserError(
                f"{architecture} cannot take images of {images.shape[1]}x{images.shape[2]} pixels: "
                f"the smallest size is {self.min_size}x{self.min_size}. Set data.image_size="
                f"{self.min_size} or more{self.small_image_hint}."
            )
