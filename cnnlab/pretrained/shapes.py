"""Variables of networks for a number of image channels, and their shapes."""

import functools
from collections.abc import Hashable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from cnnlab.arrays import PyTree
from cnnlab.models import Network, create_model
from cnnlab.pretrained.options import SHAPELESS


def init_variables(model: Network, channels: int, seed: int = 0) -> PyTree:
    """Initialises variables; no array depends on image size if there is a reference model."""
    size = max(model.min_size, 32)
    return model.init(jax.random.key(seed), jnp.zeros((1, size, size, channels)), train=False)


def variable_shapes(
    name: str, options: Mapping[str, Any], *, num_classes: int = 1000, channels: int = 3
) -> PyTree:
    """Returns the shapes of a network's variables by tracing; cached."""
    telling = {option: value for option, value in options.items() if option not in SHAPELESS}
    return _traced(name, _frozen(telling), num_classes, channels)


@functools.lru_cache(maxsize=64)
def _traced(name: str, options: Hashable, num_classes: int, channels: int) -> PyTree:
    model = create_model(name, num_classes=num_classes, **_thawed(options))
    return jax.eval_shape(lambda: init_variables(model, channels))


def _frozen(value: Any) -> Hashable:
    """Options in hashable form; lists and tuples are equal."""
    if isinstance(value, Mapping):
        return _Options((key, _frozen(inner)) for key, inner in sorted(value.items()))
    if isinstance(value, (list, tuple)):
        return tuple(map(_frozen, value))
    return value


class _Options(tuple):
    """The items of a mapping."""


def _thawed(options: Hashable) -> Any:
    if isinstance(options, _Options):
        return {key: _thawed(value) for key, value in options}
    return options
