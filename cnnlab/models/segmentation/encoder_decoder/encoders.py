"""Backbones of classifiers as encoders, by name, with unchanged parameter names."""

from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.errors import UserError
from cnnlab.models.build import create_model
from cnnlab.models.catalog import model_options, model_task
from cnnlab.models.network import Network
from cnnlab.models.segmenter import Segmenter


def make_encoder(
    name: str,
    options: Mapping[str, Any] | None,
    dtype: jnp.dtype,
    **preferred: Any,
) -> Network:
    """Creates the classifier whose backbone is the encoder; its head is not used.

    Args:
      name: name of a classification network.
      options: options of that network, e.g. `{"stem": "cifar", "width": 16}`.
      dtype: dtype of computation.
      **preferred: defaults for options that the network has and `options` does not set, e.g.
        `output_stride=8`.

    Raises:
      UserError: the name or an option is unknown, or the network has no feature maps.
    """
    if model_task(name) != "classification":
        raise UserError(
            f"model.options.encoder={name} segments already: an encoder is a classifier, e.g. "
            "resnet34."
        )
    known = model_options(name)
    preferred = {option: value for option, value in preferred.items() if option in known}
    network = create_model(name, num_classes=1, dtype=dtype, **(preferred | dict(options or {})))
    if not isinstance(network, Network):
        raise UserError(
            f"model.options.encoder={name} is a plain module: an encoder must be a "
            "cnnlab.models.Classifier, whose backbone returns a pyramid of feature maps."
        )
    if not encoder_strides(network):
        raise UserError(
            f"model.options.encoder={name} has no feature maps: choose a convolutional network, "
            "e.g. resnet34."
        )
    return network


def segment_with(network: Network, head: nn.Module, **attributes: Any) -> Segmenter:
    """Combines an encoder with a decoder into a `Segmenter`, for the encoder's image sizes.

    Args:
      network: classifier from `make_encoder`.
      head: decoder for the strides of `network.backbone`.
      **attributes: further attributes of `Segmenter`, e.g. `aux_weight`.
    """
    return Segmenter(
        network.backbone,
        head,
        min_size=network.min_size,
        small_image_hint=network.small_image_hint,
        **attributes,
    )


def encoder_strides(network: Network, finest: int = 1) -> tuple[int, ...]:
    """Returns the distinct strides of a backbone from `finest` on, fine to coarse."""
    strides = set(getattr(network.backbone, "strides", ()))
    return tuple(sorted(stride for stride in strides if stride >= finest))


def pyramid(
    features: Sequence[jax.Array], strides: Sequence[int], finest: int = 1
) -> tuple[jax.Array, ...]:
    """Returns the last map of each stride, fine to coarse.

    Args:
      features: all maps of a backbone.
      strides: stride of each map.
      finest: smallest stride to include; 2 excludes maps of the image's size.
    """
    last = dict(zip(strides, features, strict=True))
    return tuple(last[stride] for stride in sorted(last) if stride >= finest)


def level_widths(widths: Sequence[int], network: Network) -> tuple[int, ...]:
    """Returns the last widths of a decoder, one per encoder map smaller than the image.

    Args:
      widths: channels of the decoder's levels, coarse to fine.
      network: classifier from `make_encoder`.

    Raises:
      UserError: there are fewer widths than maps, or no such map.
    """
    strides = encoder_strides(network, finest=2)
    if not strides:
        raise UserError(
            "The encoder has no map smaller than the image: there is nothing to decode."
        )
    if len(widths) < len(strides):
        raise UserError(
            f"model.options.widths={tuple(widths)} must have at least {len(strides)} numbers, one "
            f"for each of the encoder's strides {', '.join(map(str, strides))}."
        )
    return tuple(widths)[-len(strides) :]
