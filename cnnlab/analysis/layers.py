"""Outputs of a network's layers by name, and their gradients."""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.errors import UserError, did_you_mean
from cnnlab.models import Network


def layer_outputs(
    model: Network,
    variables: Any,
    images: jax.Array,
    *,
    probes: Mapping[str, jax.Array] | None = None,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Returns the logits of images and the output of every layer, in evaluation mode.

    A layer is a module that returns one array of floats. Its name is its path, `backbone/conv1`;
    later calls of the same module are `NAME#2` and so on. This is a pure function for `jit` and
    `grad`.

    Args:
      model: the network.
      variables: variables of the model, as from `model.init`.
      images: normalised float images [batch, height, width, channels].
      probes: arrays that are added to layers' outputs, by name; the gradient with respect to a
        probe of zeros is that with respect to the layer's output.
    """
    probes = dict(probes or {})
    outputs: dict[str, jax.Array] = {}
    running: set[tuple[str, ...]] = set()

    def record(
        call: Callable[..., Any], args: tuple, kwargs: dict, context: nn.module.InterceptorContext
    ) -> Any:
        place = context.module.path
        if context.method_name != "__call__" or not place or place in running:
            return call(*args, **kwargs)  # also where `__call__` calls that of its base class
        running.add(place)
        output = call(*args, **kwargs)
        running.remove(place)
        if not _is_map(output):
            return output
        path, number = "/".join(place), 2
        name = path
        while name in outputs:
            name, number = f"{path}#{number}", number + 1
        if name in probes:
            output = output + probes[name].astype(output.dtype)
        outputs[name] = output
        return output

    with nn.intercept_methods(record):
        logits = model.apply(variables, images, train=False)
    return logits, outputs


def layer_shapes(
    model: Network, variables: Any, image_shape: tuple[int, int, int]
) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of `layer_outputs` without the batch axis, in order of computation.

    The model is only traced.

    >>> layer_shapes(model, variables, (28, 28, 1))
    {'backbone/conv1': (28, 28, 6), 'backbone/conv2': (10, 10, 16), 'head/dense1': (120,), ...}
    """
    names: list[str] = []

    def trace(variables: Any, images: jax.Array) -> dict[str, jax.Array]:
        outputs = layer_outputs(model, variables, images)[1]
        names.extend(outputs)  # JAX sorts the keys of what is returned
        return outputs

    images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    outputs = jax.eval_shape(trace, variables, images)
    return {name: outputs[name].shape[1:] for name in names}


def check_layer(name: str, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raises a `UserError` unless the layer exists and its output is a map."""
    maps = [layer for layer, shape in shapes.items() if len(shape) == 3]
    if name in maps:
        return
    if name in shapes:
        size = "x".join(map(str, shapes[name]))
        raise UserError(
            f"The layer '{name}' returns {size} numbers per image, but maps are needed, "
            f"height x width x channels, as of '{maps[-1]}'."
        )
    raise UserError(f"The network has no layer '{name}'.{did_you_mean(name, maps)}")


def _is_map(output: Any) -> bool:
    return isinstance(output, jax.Array) and jnp.issubdtype(output.dtype, jnp.floating)
