"""Converts between state dicts of PyTorch tensors, as numpy arrays, and variables of our networks.

Convolution kernels are [out, in, height, width] there and [height, width, in, out] here ([out, in,
length] and [length, in, out] of one axis), those of transposed convolutions [in, out, height,
width] and [height, width, in, out] (neither is flipped), weights of dense layers [out, in] and [in,
out]. The first dense layer after a map gets it flattened as channels, height, width there and as
height, width, channels here.
"""

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping

import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from cnnlab.arrays import PyTree
from cnnlab.errors import UserError
from cnnlab.nn.attention.position_embedding import resize_embedding
from cnnlab.pretrained.key_maps.rules import KeyMap, TensorSpec
from cnnlab.visible import visible

Path = tuple[str, ...]
Shape = tuple[int, ...]

_LEAVES = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean",
           "var": "running_var"}  # fmt: skip
# A counter that PyTorch keeps beside batch statistics, and that nothing here or there reads.
COUNTER = "num_batches_tracked"
# That, and what profilers leave in a network (thop).
_IGNORED = re.compile(rf"(.*\.)?({COUNTER}|total_ops|total_params)")


@dataclasses.dataclass(frozen=True)
class Tensor:
    """An array of a network, and how another library stores it.

    Attributes:
      path: path in our variables, e.g. `("params", "head", "logits", "kernel")`.
      shape: shape in our variables.
      key: key in the other state dict.
      place: specification of its layer; None if the array is stored unchanged.
      part: the entries of a vector that are stored under this key; None for the whole array.
    """

    path: Path
    shape: Shape
    key: str
    place: TensorSpec | None
    part: slice | None = None

    @property
    def stored_shape(self) -> Shape:
        """Shape in the other state dict."""
        if self.place is None:
            return self.shape
        if self.part is not None:
            return (self.part.stop - self.part.start,)
        if self.path[-1] == "layer_scale":
            return tuple(self.shape[0] if n == -1 else n for n in self.place.layer_scale[1])
        if self.path[-1] != "kernel":
            return self.shape
        if len(self.shape) > 2:
            return tuple(self.shape[axis] for axis in self._stored_axes)
        inputs, outputs = self.shape
        if not self.place.conv:
            return (outputs, inputs)
        height, width = self.place.window
        return (outputs, inputs // (height * width), height, width)

    @property
    def _stored_axes(self) -> tuple[int, ...]:
        """Our axis for each axis of a stored kernel."""
        if len(self.shape) == 3:
            return (2, 1, 0)
        return (2, 3, 0, 1) if self.place.transposed else (3, 2, 0, 1)

    def load(self, stored: np.ndarray) -> np.ndarray:
        """Converts the stored array, with the axes of `stored_shape`, to ours."""
        if self.place is None or self.path[-1] not in ("kernel", "layer_scale"):
            return stored
        if self.path[-1] == "layer_scale":
            return stored.reshape(-1)
        if len(self.shape) > 2:
            return stored.transpose(np.argsort(self._stored_axes))
        if self.place.window == (1, 1) and not self.place.conv:
            return stored.T
        maps = stored.reshape(len(stored), -1, *self.place.window)
        return maps.transpose(2, 3, 1, 0).reshape(-1, len(stored))

    def store(self, array: np.ndarray) -> np.ndarray:
        """Inverse of `load`; of a vector stored in parts, returns this part."""
        if self.part is not None:
            return array[self.part]
        if self.place is None or self.path[-1] not in ("kernel", "layer_scale"):
            return array
        if array.ndim > 2:
            return array.transpose(self._stored_axes)
        if array.ndim == 2:
            maps = array.reshape(*self.place.window, -1, array.shape[-1])
            array = maps.transpose(3, 2, 0, 1)
        return array.reshape(self.stored_shape)


def own_tensors(shapes: PyTree) -> list[Tensor]:
    """Returns the arrays of variables, or their shapes, under our own names."""
    flat = flatten_dict(shapes)
    return [Tensor(path, tuple(leaf.shape), "/".join(path), None) for path, leaf in flat.items()]


def named_tensors(shapes: PyTree, naming: KeyMap) -> list[Tensor]:
    """Returns the same under another library's names, without arrays that it does not have."""
    flat = flatten_dict(shapes)
    places = naming(sorted({"/".join(path[1:-1]) for path in flat}))
    tensors = []
    for path, leaf in flat.items():
        place = places.get("/".join(path[1:-1]))
        if place is None:
            continue
        shape, parts = tuple(leaf.shape), place.parts.get(path[-1])
        if parts is not None:
            size = shape[0] // len(parts)
            tensors += [
                Tensor(path, shape, place.key(name), place, slice(n * size, (n + 1) * size))
                for n, name in enumerate(parts)
                if name is not None
            ]
        else:
            names = _LEAVES | {"layer_scale": place.layer_scale[0]} | dict(place.leaves)
            tensors.append(Tensor(path, shape, place.key(names[path[-1]]), place))
    return tensors


@dataclasses.dataclass(frozen=True)
class LoadedWeights:
    """Arrays that a file provides for a network.

    Attributes:
      arrays: float32 arrays by path in our variables.
      new: paths that the file lacks, which stay newly initialised.
      adapted: paths of kernels made for another number of image channels.
      resized: paths of position embeddings interpolated for another number of patches.
    """

    arrays: Mapping[Path, np.ndarray]
    new: tuple[Path, ...]
    adapted: tuple[Path, ...]
    resized: tuple[Path, ...] = ()

    def merge(self, initial: PyTree) -> PyTree:
        """Returns the variables of `initial` with these arrays replaced."""
        flat = flatten_dict(initial)
        return unflatten_dict({path: self.arrays.get(path, leaf) for path, leaf in flat.items()})


def match_weights(
    stored: Mapping[str, np.ndarray],
    tensors: Iterable[Tensor],
    *,
    what: str,
    optional: Iterable[str] = (),
) -> LoadedWeights:
    """Matches stored arrays with a network's; accounts for every array.

    Four differences are permitted for fine-tuning: the logits' layers stay new if the number of
    classes differs; `adapt_channels` adapts the first convolution to the number of image channels;
    position embeddings are interpolated for another number of patches; the keys in `optional` may
    be missing on either side.

    Args:
      stored: arrays by key.
      tensors: tensors of the network, by key in `stored`.
      what: the file and the names with which it is read, for error messages.
      optional: pattern of keys that may be missing.

    Raises:
      UserError: arrays are missing, superfluous or of other shapes.
    """
    wanted = {tensor.key: tensor for tensor in tensors}
    optional = set(optional)
    missing = [key for key in wanted if key not in stored]
    constants = constants_of(wanted.values())
    surplus = [
        key
        for key in stored
        if key not in wanted
        and key not in constants
        and stored[key].ndim  # counters, as of averaged weights
        and not _IGNORED.fullmatch(key)
    ]
    misfits = [
        key
        for key, tensor in wanted.items()
        if key in stored and stored[key].shape != tensor.stored_shape
    ]
    stems = [key for key in misfits if _differs_in_channels(wanted[key], stored[key].shape)]
    # Only one convolution sees the image: where more differ, it is the network that differs.
    stems = stems if len(stems) == 1 else []
    classes = [key for key in misfits if _differs_in_classes(wanted[key], stored[key].shape)]
    grids = [key for key in misfits if _differs_in_grid(wanted[key], stored[key].shape)]
    wrong = [key for key in misfits if key not in {*stems, *classes, *grids}]
    kinds = {key: np.dtype(stored[key].dtype) for key in wanted if key in stored}
    whole = [key for key, kind in kinds.items() if not jnp.issubdtype(kind, jnp.floating)]
    problems = [
        *_listed("missing", [key for key in missing if key not in optional]),
        *_listed("unexpected", [key for key in surplus if key not in optional]),
        *_listed(
            "of another shape",
            [f"{key} is {stored[key].shape}, not {wanted[key].stored_shape}" for key in wrong],
        ),
        *_listed("of whole numbers", [f"{key} is {kinds[key]}" for key in whole]),
    ]
    if problems:
        raise UserError(f"{what} does not fit: {'; '.join(problems)}.")
    arrays = {}
    for key, tensor in wanted.items():
        if key in stored and key not in classes:
            array = tensor.load(np.asarray(stored[key], np.float32))
            if key in stems:
                array = adapt_channels(array, tensor.shape[2])
            elif key in grids:
                side = math.isqrt(tensor.shape[1])
                array = np.asarray(resize_embedding(jnp.asarray(array), (side, side)))
            if tensor.part is None:
                arrays[tensor.path] = array
            else:
                whole = arrays.setdefault(tensor.path, np.zeros(tensor.shape, np.float32))
                whole[tensor.part] = array
    infinite = [
        key
        for key, tensor in wanted.items()
        if tensor.path in arrays and not np.isfinite(arrays[tensor.path]).all()
    ]
    if infinite:
        raise UserError(
            f"{what} has values that are not finite in {', '.join(infinite[:3])}: the training it "
            "is from had diverged; take an earlier checkpoint."
        )
    new = tuple(wanted[key].path for key in (*missing, *classes))
    adapted, resized = (tuple(wanted[key].path for key in keys) for keys in (stems, grids))
    return LoadedWeights(arrays, new, adapted, resized)


def adapt_channels(kernel: np.ndarray, channels: int) -> np.ndarray:
    """Adapts the first convolution's kernel to another number of image channels.

    For one channel, the old ones are summed, so that a gray image gives the same outputs as its
    copies in all channels. For others, the old ones are repeated and scaled by old / new, so that
    outputs keep their magnitude (as in timm).

    Args:
      kernel: [height, width, old channels, features].
      channels: new number of channels.
    """
    old = kernel.shape[2]
    if channels == 1:
        return kernel.sum(axis=2, keepdims=True)
    numbers = np.arange(channels) % old
    return kernel[:, :, numbers] * np.float32(old / channels)


def state_dict(variables: PyTree, tensors: Iterable[Tensor]) -> dict[str, np.ndarray]:
    """Returns the arrays of `variables` by key, as in PyTorch's state dict.

    This includes the counters of batch statistics and the constants of some layers.
    """
    flat = flatten_dict(variables)
    tensors = list(tensors)
    stored = constants_of(tensors)
    for tensor in tensors:
        array = np.asarray(flat[tensor.path], np.float32)
        stored[tensor.key] = np.ascontiguousarray(tensor.store(array))
        if tensor.path[-1] == "var":
            stored[f"{tensor.key.rpartition('.')[0]}.{COUNTER}"] = np.zeros((), np.int64)
    return stored


def constants_of(tensors: Iterable[Tensor]) -> dict[str, np.ndarray]:
    """Returns the constants that the other library stores with these tensors, by key."""
    places = [tensor.place for tensor in tensors if tensor.place is not None]
    return {place.key(name): array for place in places for name, array in place.constants.items()}


def fits(tensor: Tensor, stored: Shape) -> bool:
    """Whether a stored array fits this one, up to the differences that `match_weights` permits."""
    return stored == tensor.stored_shape or any(
        differs(tensor, stored)
        for differs in (_differs_in_channels, _differs_in_classes, _differs_in_grid)
    )


def _differs_in_grid(tensor: Tensor, stored: Shape) -> bool:
    """Whether these are position embeddings for another number of patches."""
    if tensor.path[-1] != "position_embedding" or len(stored) != 3:
        return False
    patches = stored[1] - (tensor.shape[1] - math.isqrt(tensor.shape[1]) ** 2)
    square = math.isqrt(max(0, patches)) ** 2 == patches
    return square and (stored[0], stored[2]) == (tensor.shape[0], tensor.shape[2])


def _differs_in_channels(tensor: Tensor, stored: Shape) -> bool:
    if tensor.path[-1] != "kernel" or len(tensor.shape) != 4 or len(stored) != 4:
        return False
    if tensor.place is not None and tensor.place.transposed:
        return False
    axis = 2 if tensor.place is None else 1
    rest = [n for n in range(4) if n != axis]
    return all(stored[n] == tensor.stored_shape[n] for n in rest)


def _differs_in_classes(tensor: Tensor, stored: Shape) -> bool:
    rest = slice(0, -1) if tensor.place is None else slice(1, None)
    return tensor.path[-2].endswith("logits") and stored[rest] == tensor.stored_shape[rest]


def _listed(what: str, keys: list[str], most: int = 3) -> list[str]:
    """`["missing: a, b, c and 5 more"]`, or nothing."""
    if not keys:
        return []
    more = f" and {len(keys) - most} more" if len(keys) > most else ""
    return [f"{what}: {visible(', '.join(keys[:most]))}{more}"]
