"""Layers of any network by name: what each gives, and what follows when that is changed."""

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
    """Logits of images, and the output of every layer, in evaluation.

    A layer is a module that gives one array of floats. Its name is its path, `backbone/conv1`; of
    one that is called several times, the later calls are `NAME#2` and so on. A pure function,
    which `jit` and `grad` take.

    Args:
      model: see `Network`.
      variables: as `model.init` gives them.
      images: normalised float images [batch, height, width, channels].
      probes: by name, what is added to a layer's output before the rest of the network sees it; the
        gradient with respect to a probe of zeros is that with respect to the layer's output.
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
    """Shapes, without the batch axis, of what `layer_outputs` gives, in the order of computation.

    Nothing is computed.

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
    """Raises a `UserError`, with the nearest names, unless the layer is there and gives maps."""
    maps = [layer for layer, shape in shapes.items() if len(shape) == 3]
    if name in maps:
        return
    if name in shapes:
        size = "x".join(map(str, shapes[name]))
        raise UserError(
            f"The layer '{name}' gives {size} numbers for an image, and maps are needed, "
            f"height x width x channels, as of '{maps[-1]}'."
        )
    raise UserError(f"The network has no layer '{name}'.{did_you_mean(name, maps)}")


def _is_map(output: Any) -> bool:
    return isinstance(output, jax.Array) and jnp.issubdtype(output.dtype, jnp.floating)
