"""Receptive fields: which pixels each element of a network depends on.

They are derived from the network's trace without computing it: each operation propagates which rows
and columns its inputs depend on (`cnnlab.analysis.dependence`). So they are valid for any branches,
strides, dilations and skips, and for any parameters that are not zero.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from cnnlab.analysis.dependence import NOTHING, follow
from cnnlab.analysis.layers import layer_outputs
from cnnlab.errors import UserError, did_you_mean
from cnnlab.models import Network
from cnnlab.models.features import map_names
from cnnlab.nn.cpu_kernels.switch import without_cpu_kernels

# Fields are measured where they do not reach the border, so on images larger than they are; and on
# slightly larger ones too.
_SIDES, _STEP = (768, 3072), 64
# Pixels after which every network is expected to repeat itself: its largest stride.
_PERIOD = 64


@dataclasses.dataclass(frozen=True)
class ReceptiveField:
    """The extent of an image that one position of a layer depends on.

    Attributes:
      name: name of the layer; the backbone's maps are `backbone/stride4` and so on.
      output_shape: shape of the layer's output without the batch axis.
      size: pixels along each axis of the image; None for the whole image and for more than about
        2,900 pixels. If positions differ, as after upsampling, the largest.
      stride: pixels between the fields of neighbouring positions along each axis; None if `size`
        is.
      sees_whole_image: whether an operation before uses the whole image, as squeeze-excitation,
        attention and norms over positions do; `size` then is the extent of the other operations.
    """

    name: str
    output_shape: tuple[int, ...]
    size: tuple[int, ...] | None
    stride: tuple[float, ...] | None
    sees_whole_image: bool


@dataclasses.dataclass(frozen=True)
class Box:
    """The smallest box around the pixels that one position depends on.

    Attributes:
      start: first row and column (for volumes, first plane, row and column).
      stop: last row and column plus one.
      sees_whole_image: whether an operation before uses the whole image.
    """

    start: tuple[int, ...]
    stop: tuple[int, ...]
    sees_whole_image: bool


def receptive_fields(model: Network, image_shape: tuple[int, ...]) -> list[ReceptiveField]:
    """Returns the theoretical receptive field of every layer, in order of computation.

    Sizes are those of positions far from the border: fields may be larger than the image, and are
    measured on larger images. Layers whose outputs are neither maps nor vectors (tokens of
    transformers) are left out.

    >>> {f.name: f.size for f in receptive_fields(model, (224, 224, 3))}["backbone/stride32"]
    (212, 212)

    Args:
      model: any network.
      image_shape: height, width, channels, or with a depth before them.
    """
    shapes = {name: reach.shape for name, reach in _reaches(model, image_shape).items()}
    found: dict[str, ReceptiveField] = {}
    for side in _SIDES:
        one, other = (_measure(model, image_shape, n, shapes) for n in (side, side + _STEP))
        for name in shapes.keys() - found.keys():
            fields = one[name], other[name]
            if None not in fields:
                # What grows with the image, as the bins of pyramid pooling do, sees all of it.
                alike = fields[0] == fields[1]
                found[name] = fields[0] if alike else _whole_image(name, shapes[name])
        if len(found) == len(shapes):
            break
    return [found.get(name, _whole_image(name, shape)) for name, shape in shapes.items()]


def _whole_image(name: str, shape: tuple[int, ...]) -> ReceptiveField:
    return ReceptiveField(name, shape, None, None, True)


def _measure(
    model: Network, image_shape: tuple[int, ...], side: int, shapes: dict[str, tuple[int, ...]]
) -> dict[str, ReceptiveField | None]:
    """Fields on an image with this side; None for fields that reach its border."""
    reaches = _reaches(model, (*[side] * (len(image_shape) - 1), image_shape[-1]))
    return {name: reaches[name].measure(name, shape) for name, shape in shapes.items()}


def receptive_box(
    model: Network,
    image_shape: tuple[int, ...],
    layer: str,
    position: tuple[int, ...] | None = None,
) -> Box:
    """Returns the pixels that one position of a layer depends on, within an image.

    Args:
      model: any network.
      image_shape: height, width, channels, or with a depth before them.
      layer: name of a layer from `receptive_fields`.
      position: row and column in the layer's map; None uses the center.

    Raises:
      UserError: there is no such layer or position.
    """
    reaches = _reaches(model, image_shape)
    if layer not in reaches:
        raise UserError(f"The network has no layer '{layer}'.{did_you_mean(layer, reaches)}")
    return reaches[layer].box(layer, position)


@dataclasses.dataclass(frozen=True)
class _MapReach:
    """The reach of a layer's map.

    Attributes:
      shape: shape of the map without the batch axis.
      axes: reach along each axis of the image, int [3, positions], as in `dependence.reach`.
      image_size: size of each axis of the image.
    """

    shape: tuple[int, ...]
    axes: tuple[np.ndarray, ...]
    image_size: tuple[int, ...]

    def measure(self, name: str, shape: tuple[int, ...]) -> ReceptiveField | None:
        """Returns the field of the center positions; None if it reaches the image's border."""
        sizes, strides, whole = [], [], False
        for (first, last, flags), size in zip(self.axes, self.image_size, strict=True):
            # As many positions as the fields of enlarged maps need to repeat themselves.
            around = max(1, math.ceil(len(first) * _PERIOD / size))
            middle = slice(max(len(first) // 2 - around, 0), len(first) // 2 + around + 1)
            first, last = first[middle], -last[middle]
            whole |= bool((flags == 0).any())
            if (first == NOTHING).any():
                return ReceptiveField(name, shape, None, None, bool(whole))
            if first.min() == 0 or last.max() == size - 1:
                return None
            # They do so after powers of two.
            lag = 2 ** ((len(first) - 1).bit_length() - 1) if len(first) > 1 else 0
            centers = (first + last) / 2
            sizes.append(int((last - first).max()) + 1)
            strides.append(float(centers[lag] - centers[0]) / lag if lag else float(size))
        return ReceptiveField(name, shape, tuple(sizes), tuple(strides), whole)

    def box(self, layer: str, position: tuple[int, ...] | None) -> Box:
        counts = [axis.shape[1] for axis in self.axes]
        position = tuple(count // 2 for count in counts) if position is None else position
        if len(position) != len(counts) or not all(
            0 <= at < count for at, count in zip(position, counts, strict=True)
        ):
            raise UserError(
                f"Layer '{layer}' has {'x'.join(map(str, counts))} positions; there is none at "
                f"{position}."
            )
        start, stop, whole = [], [], False
        for axis, at, size in zip(self.axes, position, self.image_size, strict=True):
            first, last, flag = (int(value) for value in axis[:, at])
            whole |= flag == 0
            local = first != NOTHING
            start.append(first if local else 0)
            stop.append(1 - last if local else size)
        return Box(tuple(start), tuple(stop), whole)


def _reaches(model: Network, image_shape: tuple[int, ...]) -> dict[str, _MapReach]:
    """The reach of every layer with maps or vectors, by name."""
    image = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    with without_cpu_kernels():
        variables = jax.eval_shape(
            lambda x: model.init(jax.random.PRNGKey(0), x, train=False), image
        )
        names: list[str] = []

        def outputs(variables: Any, x: jax.Array) -> list[jax.Array]:
            found = layers_and_maps(model, variables, x)
            names.extend(found)
            return list(found.values())

        trace = jax.make_jaxpr(outputs)(variables, image)
    spatial = range(1, len(image_shape))
    number = len(trace.jaxpr.invars) - 1
    per_axis = [follow(trace, number, image.shape, axis) for axis in spatial]
    result = {}
    for name, variable, *reach in zip(names, trace.jaxpr.outvars, *per_axis, strict=True):
        shape = variable.aval.shape
        is_map = len(shape) == len(image.shape) and shape[0] == 1
        if not is_map and len(shape) != 2:
            continue
        axes = tuple(
            _along(array, axis, shape[axis] if is_map else 1, is_map)
            for array, axis in zip(reach, spatial, strict=True)
        )
        result[name] = _MapReach(shape[1:], axes, image_shape[:-1])
    return result


def _along(reach: np.ndarray, axis: int, count: int, is_map: bool) -> np.ndarray:
    """The reach of each position along an axis of a map, over all channels: [3, count]."""
    others = tuple(a for a in range(1, reach.ndim) if not (is_map and a == axis + 1))
    return np.broadcast_to(reach.min(axis=others).reshape(3, -1), (3, count))


def layers_and_maps(model: Network, variables: Any, images: jax.Array) -> dict[str, jax.Array]:
    """Returns the output of every layer by name, and the backbone's maps."""
    maps: dict[str, jax.Array] = {}

    def record(
        call: Callable[..., Any], args: tuple, kwargs: dict, context: nn.module.InterceptorContext
    ) -> Any:
        output = call(*args, **kwargs)
        if context.method_name == "__call__" and context.module.path == ("backbone",):
            names = map_names(model.backbone.strides)
            maps.update({f"backbone/{n}": x for n, x in zip(names, output, strict=True)})
        return output

    with nn.intercept_methods(record):
        logits, layers = layer_outputs(model, variables, images)
    inside = {name: x for name, x in layers.items() if name.startswith("backbone")}
    after = {name: x for name, x in layers.items() if name not in inside}
    return inside | maps | after | {"": logits}
