"""What every network has in common: `head(backbone(images))`.

Parameters are `{"backbone": ..., "head": ...}` for every architecture, so that fine-tuning,
freezing, new heads and encoders of segmentation work the same on all of them.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.errors import UserError

_AXES = {2: "[batch, height, width, channels]", 3: "[batch, depth, height, width, channels]"}


class Network(nn.Module):
    """A backbone and a head; `Classifier` and `Segmenter` say what the head makes of features.

    Attributes:
      backbone: maps [batch, height, width, channels] to a tuple of feature maps, fine to coarse;
        its attribute `strides` says by how much each is smaller than the image.
      head: maps those feature maps to logits.
      min_size: smallest height and width in pixels that the architecture can take.
      small_image_hint: what else a user with smaller images can do, for the error message.
      freeze_batch_stats: the backbone runs as in evaluation also where `train` is set: its batch
        statistics are used and do not move, its dropout is off. `model.clone` changes it.
      aux_weight: with which the losses of auxiliary logits count in training, beside a weight of 1
        for the logits themselves; the default is from Szegedy et al. 2014, arXiv:1409.4842, sec. 5.
      spatial_dims: 2 for images, 3 for volumes.
      border: pixels on each side of an image that a network without padding gives no logits for,
        where the image has `min_size` and any multiple of the largest stride in height and width.
    """

    backbone: nn.Module
    head: nn.Module
    min_size: int = 1
    small_image_hint: str = ""
    freeze_batch_stats: bool = False
    aux_weight: float = 0.3
    spatial_dims: int = 2
    border: int = 0

    def features(self, images: jax.Array, *, train: bool = False) -> tuple[jax.Array, ...]:
        """Maps images to the backbone's feature maps, from fine to coarse.

        Raises:
          UserError: images of another rank, of an integer type, or too small.
        """
        self._check(images)
        return self.backbone(images, train=train and not self.freeze_batch_stats)

    def _check(self, images: jax.Array) -> None:
        architecture = type(self.backbone).__name__
        if images.ndim != self.spatial_dims + 2:
            raise UserError(
                f"{architecture} wants images {_AXES[self.spatial_dims]}, got shape "
                f"{tuple(images.shape)}."
            )
        if not jnp.issubdtype(images.dtype, jnp.floating):
            raise UserError(
                f"{architecture} wants normalised float images, got {images.dtype}; see "
                "cnnlab.data.augment.make_normalize."
            )
        if min(images.shape[1:-1]) < self.min_size:
            size, smallest = (
                "x".join(map(str, images.shape[1:-1])),
                "x".join([str(self.min_size)] * self.spatial_dims),
            )
            raise UserError(
                f"{architecture} cannot take images of {size} pixels: "
                f"the smallest size is {smallest}. Set data.image_size="
                f"{self.min_size} or more{self.small_image_hint}."
            )
