"""The base of every network: `head(backbone(images))`.

Parameters are `{"backbone": ..., "head": ...}` for every architecture, so that fine-tuning,
freezing, new heads and encoders of segmentation work the same on all of them.
"""

import inspect
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.errors import UserError
from cnnlab.notebook import Shown

_AXES = {2: "[batch, height, width, channels]", 3: "[batch, depth, height, width, channels]"}


class Network(Shown, nn.Module):
    """A backbone and a head; `Classifier` and `Segmenter` define the logits.

    Attributes:
      backbone: maps [batch, height, width, channels] to a tuple of feature maps, fine to coarse;
        its attribute `strides` has their strides.
      head: maps those feature maps to logits.
      min_size: smallest height and width of images in pixels.
      small_image_hint: advice for smaller images, for the error message.
      freeze_batch_stats: whether the backbone runs in evaluation mode even if `train` is set: its
        batch statistics are used and kept, its dropout is off. `model.clone` changes it.
      aux_weight: weight of the losses of auxiliary logits in training; the logits have weight 1;
        the default is from Szegedy et al. 2014, arXiv:1409.4842, sec. 5.
      spatial_dims: 2 for images, 3 for volumes.
      border: pixels on each side of an image for which a network without padding has no logits, if
        height and width are `min_size` plus a multiple of the largest stride.
    """

    backbone: nn.Module
    head: nn.Module
    min_size: int = 1
    small_image_hint: str = ""
    freeze_batch_stats: bool = False
    aux_weight: float = 0.3
    spatial_dims: int = 2
    border: int = 0

    def _summary(self) -> str:
        parts = (type(self.backbone).__name__, type(self.head).__name__)
        return f"{' and '.join(parts)}, strides {tuple(self.backbone.strides)}"

    def _rows(self) -> dict[str, Any]:
        return {
            "backbone": type(self.backbone).__name__,
            "head": type(self.head).__name__,
            "strides of the feature maps": tuple(self.backbone.strides),
            "smallest image": " x ".join([str(self.min_size)] * self.spatial_dims),
        }

    def features(self, images: jax.Array, *, train: bool = False) -> tuple[jax.Array, ...]:
        """Maps images to the backbone's feature maps, from fine to coarse.

        Raises:
          UserError: the images have another rank, an integer dtype, or are too small.
        """
        self._check(images)
        return self.backbone(images, train=train and not self.freeze_batch_stats)

    def _check(self, images: jax.Array) -> None:
        architecture = type(self.backbone).__name__
        if images.ndim != self.spatial_dims + 2:
            raise UserError(
                f"{architecture} needs images {_AXES[self.spatial_dims]}, got shape "
                f"{tuple(images.shape)}."
            )
        if not jnp.issubdtype(images.dtype, jnp.floating):
            raise UserError(
                f"{architecture} needs normalised float images, got {images.dtype}; see "
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


def as_network(model: nn.Module, needs: str) -> Network:
    """Returns the model if it has a backbone and a head.

    Args:
      model: any module.
      needs: the operation that needs them, for the message.

    Raises:
      UserError: the model is a plain module.
    """
    if not isinstance(model, Network):
        raise UserError(
            f"{needs} needs a network with a backbone and a head (cnnlab.models.Classifier or "
            f"Segmenter), and {type(model).__name__} is a plain module."
        )
    return model


def check_plain(model: nn.Module, image_shape: tuple[int, ...], num_logits: int) -> None:
    """Checks the call and the result of a user's module by tracing it.

    Args:
      model: any module; a `Network` checks itself.
      image_shape: height, width and channels of images.
      num_logits: number of logits that the task needs.

    Raises:
      UserError: the module has no argument `train`, or its logits have another width.
    """
    if isinstance(model, Network):
        return
    name = type(model).__name__
    if "train" not in inspect.signature(type(model).__call__).parameters:
        raise UserError(
            f"{name} must be called as model(images, train=...), and its __call__ has no argument "
            "train."
        )
    images = jax.ShapeDtypeStruct((2, *image_shape), jnp.float32)
    logits, _ = jax.eval_shape(
        lambda x: model.init_with_output(jax.random.key(0), x, train=False), images
    )
    shape = getattr(logits, "shape", None)
    if shape is None or shape[0] != 2 or shape[-1] != num_logits:
        raise UserError(
            f"{name} must map two images to logits [2, ..., {num_logits}], and gives "
            f"{list(shape) if shape else type(logits).__name__}."
        )
