"""Between a state dict of PyTorch tensors, as numpy arrays, and the variables of a network of ours.

Convolution kernels are [out, in, height, width] there and [height, width, in, out] here, those of
transposed convolutions [in, out, height, width] and [height, width, in, out] (neither is flipped),
weights of dense layers [out, in] and [in, out]. The first dense layer after a map sees it flattened
as channels, height, width there and as height, width, channels here.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from cnnlab.errors import UserError
from cnnlab.pretrained.names.rules import Naming, Place

PyTree = Any
Path = tuple[str, ...]
Shape = tuple[int, ...]

_LEAVES = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean",
           "var": "running_var"}  # fmt: skip
# A counter that PyTorch keeps beside batch statistics, and that nothing here or there reads.
COUNTER = "num_batches_tracked"


@dataclasses.dataclass(frozen=True)
class Tensor:
    """One array of a network, and how it is stored elsewhere.

    Attributes:
      path: in our variables, e.g. `("params", "head", "logits", "kernel")`.
      shape: in our variables.
      key: in the other state dict.
      place: of its layer; None where the array is stored as it is.
    """

    path: Path
    shape: Shape
    key: str
    place: Place | None

    @property
    def stored_shape(self) -> Shape:
        """In the other state dict."""
        if self.place is None:
            return self.shape
        if self.path[-1] == "layer_scale":
            return tuple(self.shape[0] if n == -1 else n for n in self.place.layer_scale[1])
        if self.path[-1] != "kernel":
            return self.shape
        if len(self.shape) == 4:
            return tuple(self.shape[axis] for axis in self._stored_axes)
        inputs, outputs = self.shape
        if not self.place.conv:
            return (outputs, inputs)
        height, width = self.place.window
        return (outputs, inputs // (height * width), height, width)

    @property
    def _stored_axes(self) -> tuple[int, ...]:
        """For each axis of a stored kernel, which of ours it is."""
        return (2, 3, 0, 1) if self.place.transposed else (3, 2, 0, 1)

    def load(self, stored: np.ndarray) -> np.ndarray:
        """Maps the stored array, of as many axes as `stored_shape`, to ours."""
        if self.place is None or self.path[-1] not in ("kernel", "layer_scale"):
            return stored
        if self.path[-1] == "layer_scale":
            return stored.reshape(-1)
        if len(self.shape) == 4:
            return stored.transpose(np.argsort(self._stored_axes))
        if self.place.window == (1, 1) and not self.place.conv:
            return stored.T
        maps = stored.reshape(len(stored), -1, *self.place.window)
        return maps.transpose(2, 3, 1, 0).reshape(-1, len(stored))

    def store(self, array: np.ndarray) -> np.ndarray:
        """The inverse of `load`."""
        if self.place is None or self.path[-1] not in ("kernel", "layer_scale"):
            return array
        if len(array.shape) == 4:
            return array.transpose(self._stored_axes)
        if array.ndim == 2:
            maps = array.reshape(*self.place.window, -1, array.shape[-1])
            array = maps.transpose(3, 2, 0, 1)
        return array.reshape(self.stored_shape)


def own_tensors(shapes: PyTree) -> list[Tensor]:
    """The arrays of variables (or of their shapes) under our own names."""
    flat = flatten_dict(shapes)
    return [Tensor(path, tuple(leaf.shape), "/".join(path), None) for path, leaf in flat.items()]


def named_tensors(shapes: PyTree, naming: Naming) -> list[Tensor]:
    """The same under another library's names; arrays that it has none for are left out."""
    flat = flatten_dict(shapes)
    places = naming(sorted({"/".join(path[1:-1]) for path in flat}))
    tensors = []
    for path, leaf in flat.items():
        place = places.get("/".join(path[1:-1]))
        if place is not None:
            name = place.layer_scale[0] if path[-1] == "layer_scale" else _LEAVES[path[-1]]
            tensors.append(Tensor(path, tuple(leaf.shape), f"{place.name}.{name}", place))
    return tensors


@dataclasses.dataclass(frozen=True)
class Fit:
    """What a file gives to a network.

    Attributes:
      arrays: float32, by path in our variables.
      new: paths that the file has nothing for, and that stay newly initialised.
      adapted: paths of kernels made for another number of image channels.
    """

    arrays: Mapping[Path, np.ndarray]
    new: tuple[Path, ...]
    adapted: tuple[Path, ...]

    def merge(self, initial: PyTree) -> PyTree:
        """The variables of `initial` with these arrays in their places."""
        flat = flatten_dict(initial)
        return unflatten_dict({path: self.arrays.get(path, leaf) for path, leaf in flat.items()})


def fit(
    stored: Mapping[str, np.ndarray],
    tensors: Iterable[Tensor],
    *,
    what: str,
    optional: Iterable[str] = (),
) -> Fit:
    """Brings stored arrays into a network; says of every array where it came from.

    Three things may differ, as fine-tuning needs them: the logits' layers stay new where the number
    of classes differs; the first convolution is adapted to the number of image channels (see
    `adapt_channels`); the keys in `optional` may be missing on either side.

    Args:
      stored: arrays by their keys.
      tensors: of the network, by their keys in `stored`.
      what: the file and the names it is read with, for error messages.
      optional: see above.

    Raises:
      UserError: arrays that are missing, that nothing here has a place for, or of other shapes.
    """
    wanted = {tensor.key: tensor for tensor in tensors}
    optional = set(optional)
    missing = [key for key in wanted if key not in stored]
    surplus = [key for key in stored if key not in wanted and not key.endswith(COUNTER)]
    misfits = [
        key
        for key, tensor in wanted.items()
        if key in stored and stored[key].shape != tensor.stored_shape
    ]
    stems = [key for key in misfits if _differs_in_channels(wanted[key], stored[key].shape)]
    # Only one convolution sees the image: where more differ, it is the network that differs.
    stems = stems if len(stems) == 1 else []
    classes = [key for key in misfits if _differs_in_classes(wanted[key], stored[key].shape)]
    wrong = [key for key in misfits if key not in stems and key not in classes]
    problems = [
        *_listed("missing", [key for key in missing if key not in optional]),
        *_listed("unexpected", [key for key in surplus if key not in optional]),
        *_listed(
            "of another shape",
            [f"{key} is {stored[key].shape}, not {wanted[key].stored_shape}" for key in wrong],
        ),
    ]
    if problems:
        raise UserError(f"{what} does not fit: {'; '.join(problems)}.")
    arrays = {}
    for key, tensor in wanted.items():
        if key in stored and key not in classes:
            array = tensor.load(np.asarray(stored[key], np.float32))
            arrays[tensor.path] = adapt_channels(array, tensor.shape[2]) if key in stems else array
    new = tuple(wanted[key].path for key in (*missing, *classes))
    return Fit(arrays, new, tuple(wanted[key].path for key in stems))


def adapt_channels(kernel: np.ndarray, channels: int) -> np.ndarray:
    """A first convolution's kernel for images of another number of channels.

    One channel gets the sum over the old ones, so that gray images give what their copies in all
    channels gave. More get the old ones over and over, scaled by old / new, so that the outputs
    keep their size (as in timm).

    Args:
      kernel: [height, width, old channels, features].
      channels: new ones.
    """
    old = kernel.shape[2]
    if channels == 1:
        return kernel.sum(axis=2, keepdims=True)
    numbers = np.arange(channels) % old
    return kernel[:, :, numbers] * np.float32(old / channels)


def state_dict(variables: PyTree, tensors: Iterable[Tensor]) -> dict[str, np.ndarray]:
    """The arrays of `variables` by their keys, with PyTorch's counters beside batch statistics."""
    flat = flatten_dict(variables)
    stored: dict[str, np.ndarray] = {}
    for tensor in tensors:
        array = np.asarray(flat[tensor.path], np.float32)
        stored[tensor.key] = np.ascontiguousarray(tensor.store(array))
        if tensor.path[-1] == "var":
            stored[f"{tensor.key.rpartition('.')[0]}.{COUNTER}"] = np.zeros((), np.int64)
    return stored


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
    return tensor.path[-2] == "logits" and stored[rest] == tensor.stored_shape[rest]


def _listed(what: str, keys: list[str], most: int = 3) -> list[str]:
    """`["missing: a, b, c and 5 more"]`, or nothing."""
    if not keys:
        return []
    more = f" and {len(keys) - most} more" if len(keys) > most else ""
    return [f"{what}: {', '.join(keys[:most])}{more}"]
