"""Backbones of the classifiers as encoders: any of them, by name, under their own parameters."""

from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.errors import UserError
from cnnlab.models.network import Network
from cnnlab.models.segmenter import Segmenter


def make_encoder(
    name: str,
    options: Mapping[str, Any] | None,
    dtype: jnp.dtype,
    **preferred: Any,
) -> Network:
    """The classifier whose backbone encodes; its head is not used.

    Args:
      name: of a classification network.
      options: of that network, e.g. `{"stem": "cifar", "width": 16}`.
      dtype: type of computation.
      **preferred: options that are set too where that network has them and `options` does not set
        them, e.g. `output_stride=8`.

    Raises:
      UserError: an unknown name or option, or a network without feature maps.
    """
    # Here, because the registry imports the networks that call this.
    from cnnlab.models.registry import create_model, model_options, model_task

    if model_task(name) != "classification":
        raise UserError(
            f"model.options.encoder={name} segments already: an encoder is a classifier, e.g. "
            "resnet34."
        )
    known = model_options(name)
    preferred = {option: value for option, value in preferred.items() if option in known}
    network = create_model(name, num_classes=1, dtype=dtype, **(preferred | dict(options or {})))
    if not encoder_strides(network):
        raise UserError(
            f"model.options.encoder={name} has no feature maps: choose a convolutional network, "
            "e.g. resnet34."
        )
    return network


def segment_with(network: Network, head: nn.Module, **attributes: Any) -> Segmenter:
    """A decoder on an encoder, which takes the images that the encoder takes.

    Args:
      network: see `make_encoder`.
      head: the decoder, made for the strides of `network.backbone`.
      **attributes: further ones of `Segmenter`, e.g. `aux_weight`.
    """
    return Segmenter(
        network.backbone,
        head,
        min_size=network.min_size,
        small_image_hint=network.small_image_hint,
        **attributes,
    )


def encoder_strides(network: Network, finest: int = 1) -> tuple[int, ...]:
    """The distinct strides of a backbone from `finest` on, fine to coarse; those of `pyramid`."""
    strides = set(getattr(network.backbone, "strides", ()))
    return tuple(sorted(stride for stride in strides if stride >= finest))


def pyramid(
    features: Sequence[jax.Array], strides: Sequence[int], finest: int = 1
) -> tuple[jax.Array, ...]:
    """The last map of each stride, fine to coarse.

    Args:
      features: all maps of a backbone.
      strides: of each.
      finest: the smallest stride that is wanted; 2 leaves out a map of the image's size.
    """
    last = dict(zip(strides, features, strict=True))
    return tuple(last[stride] for stride in sorted(last) if stride >= finest)


def level_widths(widths: Sequence[int], network: Network) -> tuple[int, ...]:
    """The last of a decoder's widths, as many as the encoder has maps smaller than the image.

    Args:
      widths: channels of the decoder's levels, coarse to fine.
      network: see `make_encoder`.

    Raises:
      UserError: fewer widths than maps, or no such map.
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
