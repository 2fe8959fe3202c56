"""Reads PyTorch's pickles without executing them.

A pickle names functions and classes to call. Here, the few that create tensors and dictionaries are
replaced by our own, below; every other name becomes an `Opaque`, which stores its arguments and
does nothing. So a file can contain the arguments, the scheduler or the whole module of a training
script, but no module is imported and no foreign code is executed. Names that only an attack calls
are refused, so that the user learns of them.
"""

import pickle
import re
from collections.abc import Callable, Mapping
from typing import IO, Any

from cnnlab.pretrained.files.tensors import (
    DamageError,
    FileError,
    Inert,
    Storage,
    StoredTensor,
    view,
)

# Modules that run programs, open files or import others: no training script stores what they have.
_ATTACKS = re.compile(
    r"(os|posix|nt|_?posixsubprocess|subprocess|sys|runpy|pty|socket|shutil|importlib|ctypes|codeop"
    r"|pdb|bdb|timeit|pydoc|webbrowser|multiprocessing|asyncio|urllib|http|_?io|pickle|marshal|pip)"
    r"\b.*"
    r"|(builtins|__builtin__)\.(eval|exec|execfile|compile|open|__import__|input|breakpoint)"
)


class Dict(dict):
    """A dictionary of a file, without the attributes of its class."""

    def __init__(self, *args: Any) -> None:
        super().__init__(args[0] if args and isinstance(args[0], (dict, list)) else {})

    def __setstate__(self, state: Any) -> None:
        pass


class Opaque:
    """An object of a file whose name is unknown here.

    Attributes:
      origin: the name, e.g. `argparse.Namespace`.
      state: argument of its `__setstate__` in the file.
      entries: items that the file sets by key.
    """

    origin = "?"

    def __new__(cls, *args: Any, **options: Any) -> "Opaque":
        self = super().__new__(cls)
        self.state, self.entries = None, {}
        return self

    def __init__(self, *args: Any, **options: Any) -> None:
        pass

    def __call__(self, *args: Any, **options: Any) -> "Opaque":
        return Opaque()

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        self.entries[key] = value

    def append(self, value: Any) -> None:
        """Takes a list's items, and leaves them out."""

    def extend(self, values: Any) -> None:
        """Takes a list's items, and leaves them out."""


class Name(Inert):
    """A dtype or a kind of storage that a file names.

    Attributes:
      dtype: PyTorch's name of the dtype.
    """

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype


class Function(Inert):
    """One of the functions below, which a file can call but not change."""

    def __init__(self, function: Callable) -> None:
        self._function = function

    def __call__(self, *args: Any) -> Any:
        return self._function(*args)


_STORAGES = {
    "Float": "float32", "Double": "float64", "Half": "float16", "BFloat16": "bfloat16",
    "Long": "int64", "Int": "int32", "Short": "int16", "Char": "int8", "Byte": "uint8",
    "Bool": "bool", "ComplexFloat": "complex64", "ComplexDouble": "complex128", "QInt8": "qint8",
    "QUInt8": "quint8", "QInt32": "qint32", "QUInt4x2": "quint4x2", "QUInt2x4": "quint2x4",
    "Untyped": "untyped",
}  # fmt: skip
_DTYPE = re.compile(r"(u?int|b?float|complex|qu?int)\d+\w*|bool")


class Unpickler(pickle.Unpickler):
    """Loads one pickle without executing it.

    Args:
      file: file object at the beginning of the pickle.
      storage_of: creates a `Storage` from dtype, key and size.
      little_endian: whether storages are little-endian.
    """

    def __init__(
        self,
        file: IO[bytes],
        storage_of: Callable[[str, str, int], Storage],
        *,
        little_endian: bool = True,
    ) -> None:
        super().__init__(file, encoding="latin1")
        self._storage_of, self._little = storage_of, little_endian
        functions = {
            "collections.defaultdict": lambda *_: Dict(),
            "torch.Size": lambda *sizes: tuple(*sizes),
            "torch._utils._rebuild_tensor": self._tensor,
            "torch._utils._rebuild_tensor_v2": self._tensor,
            "torch._utils._rebuild_tensor_v3": self._tensor_v3,
            "torch._utils._rebuild_parameter": lambda data, *_: data,
            "torch._utils._rebuild_parameter_with_state": lambda data, *_: data,
            "torch._tensor._rebuild_from_type_v2": lambda make, _, args, *__: make(*args),
            "torch._utils._rebuild_qtensor": _quantised,
            "torch._utils._rebuild_sparse_tensor": _sparse,
            "torch._utils._rebuild_nested_tensor": _nested,
            "torch._utils._rebuild_meta_tensor_no_storage": _meta,
        }
        self._known: dict[str, Any] = {
            name: Function(function) for name, function in functions.items()
        }
        self._known["collections.OrderedDict"] = Dict

    def read(self) -> Any:
        """Returns the object that the pickle describes.

        Raises:
          FileError: the pickle calls names that only an attack calls.
          DamageError: the pickle is truncated or inconsistent.
        """
        try:
            return self.load()
        except FileError:
            raise
        # Bytes that are no proper pickle make it raise nearly anything.
        except Exception as error:
            raise DamageError(f"its pickle cannot be read ({type(error).__name__})") from error

    def find_class(self, module: str, name: str) -> Any:
        """Returns the replacement of a name; imports nothing."""
        origin = f"{module}.{name}"
        if _ATTACKS.fullmatch(origin):
            raise FileError(
                f"asks to call {origin} when it is read, as an attack does and no file of weights: "
                "it was not called; take the weights from a source that you trust"
            )
        if origin.startswith("torch."):
            kind, storage, rest = name.partition("Storage")
            if storage and not rest and kind in _STORAGES:
                return Name(_STORAGES[kind])
            if _DTYPE.fullmatch(name):
                return Name(name)
        if origin not in self._known:
            self._known[origin] = type("Opaque", (Opaque,), {"origin": origin})
        return self._known[origin]

    def persistent_load(self, pid: Any) -> Any:
        """A storage, or the class that a whole module of an old file has its source beside."""
        if not isinstance(pid, tuple) or len(pid) < 2:
            raise DamageError("it refers to what is not there")
        if pid[0] == "module":
            return pid[1]
        kind, name, key, _, size, *rest = pid
        if kind != "storage" or not isinstance(name, Name) or type(size) is not int or size < 0:
            raise DamageError("it describes no proper storage")
        if rest and rest[0] is not None:
            raise DamageError("it shares storages as PyTorch did before version 0.4")
        return self._storage_of(name.dtype, str(key), size)

    def _tensor(
        self,
        storage: Storage,
        offset: int,
        shape: tuple,
        strides: tuple,
        requires_grad: bool = False,
        hooks: Any = None,
        flags: Any = None,
    ) -> StoredTensor:
        if not isinstance(storage, Storage):
            raise DamageError("a tensor has no storage")
        flags = flags if isinstance(flags, Mapping) else {}
        return view(
            storage,
            offset,
            shape,
            strides,
            negative=bool(flags.get("neg")),
            little_endian=self._little,
        )

    def _tensor_v3(
        self,
        storage: Storage,
        offset: int,
        shape: tuple,
        strides: tuple,
        requires_grad: bool,
        hooks: Any,
        dtype: Name,
        flags: Any = None,
    ) -> StoredTensor:
        return view(storage, offset, shape, strides, dtype.dtype, little_endian=self._little)


def _quantised(storage: Storage, offset: int, shape: tuple, *rest: Any) -> StoredTensor:
    return StoredTensor(tuple(shape), storage.dtype, problem=f"quantised ({storage.dtype})")


def _sparse(layout: Any, data: tuple) -> StoredTensor:
    shapes = [part for part in data if type(part) is tuple]
    return StoredTensor(shapes[-1] if shapes else (), "sparse", problem="a sparse tensor")


def _meta(dtype: Name, shape: tuple, *rest: Any) -> StoredTensor:
    problem = "on the meta device, which has shapes and no values"
    return StoredTensor(tuple(shape), dtype.dtype, problem=problem)


def _nested(*args: Any) -> StoredTensor:
    return StoredTensor((), "nested", problem="a nested tensor")
