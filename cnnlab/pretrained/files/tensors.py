"""Tensors in files, with known shape and dtype, whose values are read on demand."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import ml_dtypes
import numpy as np

# Types that are read, by PyTorch's names for them, which safetensors' own are mapped to.
DTYPES = {
    **{name: np.dtype(name) for name in ("float64", "float32", "float16", "bool")},
    **{f"{sign}int{bits}": np.dtype(f"{sign}int{bits}")
       for sign in ("", "u") for bits in (8, 16, 32, 64)},
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
}  # fmt: skip
# A view of fewer stored values than it has elements repeats them. Tensors in use repeat few.
_MOST_REPEATED = 2**24


class FileError(Exception):
    """A file cannot be read; the text continues a sentence that begins with its name."""


class DamageError(FileError):
    """A file's content is inconsistent, as the text describes."""

    def __str__(self) -> str:
        return f"is damaged or incomplete: {super().__str__()}. Copy or download it again"


class Inert:
    """Base of objects that a pickle can name but not change; it sets attributes of all others."""

    def __setstate__(self, state: Any) -> None:
        pass


@dataclasses.dataclass(frozen=True, eq=False)
class StoredTensor(Inert):
    """A tensor in a file, which `np.asarray` reads.

    Attributes:
      shape: shape of the tensor.
      dtype: PyTorch's name of its dtype.
      read: returns its values; None if they cannot be read, for the reason in `problem`.
      problem: what it is instead of a plain tensor, e.g. "a sparse tensor".
    """

    shape: tuple[int, ...]
    dtype: str
    read: Callable[[], np.ndarray] | None = None
    problem: str | None = None

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        if self.read is None:
            raise DamageError(f"a tensor is {self.problem}")
        return np.asarray(self.read(), dtype)


@dataclasses.dataclass(frozen=True, eq=False)
class Storage(Inert):
    """A block of bytes in a file, of which tensors are views.

    Attributes:
      dtype: PyTorch's name of its elements' dtype; `untyped` if the tensors determine it.
      size: number of elements, or of bytes if it is untyped.
      read: returns the bytes.
    """

    dtype: str
    size: int
    read: Callable[[], bytes]


def itemsize(dtype: str) -> int:
    """Bytes per element of any dtype that PyTorch stores, including those that are not read."""
    if dtype in DTYPES:
        return DTYPES[dtype].itemsize
    return {"complex32": 4, "complex64": 8, "complex128": 16, "qint32": 4}.get(dtype, 1)


def view(
    storage: Storage,
    offset: int,
    shape: Sequence[int],
    strides: Sequence[int],
    dtype: str | None = None,
    *,
    negative: bool = False,
    little_endian: bool = True,
) -> StoredTensor:
    """Returns a tensor from its offset in a storage and its strides, both in elements.

    Raises:
      DamageError: the view reaches outside the storage.
    """
    shape, strides, dtype = tuple(shape), tuple(strides), dtype or storage.dtype
    numbers = (offset, *shape, *strides)
    if len(shape) != len(strides) or not all(type(n) is int and n >= 0 for n in numbers):
        raise DamageError("a tensor has no proper shape")
    if dtype not in DTYPES:
        return StoredTensor(shape, dtype, problem=_kind(dtype))
    size = itemsize(dtype)
    available = storage.size // size if storage.dtype == "untyped" else storage.size
    elements = math.prod(shape)
    steps = sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    if elements and (offset + steps >= available or elements > max(available, _MOST_REPEATED)):
        raise DamageError("a tensor reaches past the end of what is stored of it")

    def read() -> np.ndarray:
        stored = DTYPES[dtype] if little_endian else DTYPES[dtype].newbyteorder(">")
        if not elements:
            return np.empty(shape, DTYPES[dtype])
        flat = np.frombuffer(storage.read(), stored, available)[offset:]
        in_bytes = [step * size for step in strides]
        values = np.lib.stride_tricks.as_strided(flat, shape, in_bytes, writeable=False)
        return -values if negative else values

    return StoredTensor(shape, dtype, read)


def _kind(dtype: str) -> str:
    if "float8" in dtype or "float4" in dtype:
        return f"stored as {dtype}, whose scales are elsewhere"
    if dtype.startswith(("qint", "quint")):
        return f"quantised ({dtype})"
    return f"of type {dtype}"
