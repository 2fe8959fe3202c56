"""Backbones of the classifiers as encoders: any of them, by name, under their own parameters."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from cnnlab.errors import UserError
from cnnlab.models.network import Network


def make_encoder(name: str, options: Mapping[str, Any], dtype: jnp.dtype) -> Network:
    """The classifier whose backbone encodes; its head is not used.

    Args:
      name: of a classification network.
      options: of that network, e.g. `{"stem": "cifar", "width": 16}`.
      dtype: type of computation.

    Raises:
      UserError: an unknown name or option, or a network without feature maps.
    """
    # Here, because the registry imports the networks that call this.
    from cnnlab.models.registry import create_model, model_task

    if model_task(name) != "classification":
        raise UserError(
            f"model.options.encoder={name} segments already: an encoder is a classifier, e.g. "
            "resnet34."
        )
    network = create_model(name, num_classes=1, dtype=dtype, **options)
    if not encoder_strides(network):
        raise UserError(
            f"model.options.encoder={name} has no feature maps: choose a convolutional network, "
            "e.g. resnet34."
        )
    return network


def encoder_strides(network: Network) -> tuple[int, ...]:
    """The distinct strides of a backbone, fine to coarse; those of `pyramid`."""
    return tuple(sorted(set(getattr(network.backbone, "strides", ()))))


def pyramid(features: Sequence[jax.Array], strides: Sequence[int]) -> tuple[jax.Array, ...]:
    """The last map of each stride, fine to coarse.

    Args:
      features: all maps of a backbone.
      strides: of each.
    """
    last = dict(zip(strides, features, strict=True))
    return tuple(last[stride] for stride in sorted(last))
