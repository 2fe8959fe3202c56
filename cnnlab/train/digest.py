"""The arrays of a state as named host arrays, their digests, and the way back into a state.

Leaves are named by their key path, `params/backbone/conv1/kernel`, so that a checkpoint does not
depend on how jax, flax or optax spell their containers.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cnnlab.errors import UserError
from cnnlab.train.manifest import DamagedError


class HostLeaf(NamedTuple):
    """One leaf of a state, copied to the host.

    Attributes:
      data: the values; for a typed key array, its raw uint32 words.
      dtype: name of the leaf's type: "float32", "bfloat16", "key<fry>".
      shape: shape of the leaf (of the key array, not of its words).
      key_impl: name of the random generator of a typed key array, else None.
    """

    data: np.ndarray
    dtype: str
    shape: tuple[int, ...]
    key_impl: str | None


def to_host(state: Any) -> dict[str, HostLeaf]:
    """Copies every leaf of `state` to the host, by name.

    The copies share no memory with the state, whose buffers a donating train step may overwrite as
    soon as this returns. Python scalars become arrays of the type jax would give them.

    Raises:
      UserError: two leaves have the same name, or an array is spread over several processes.
    """
    paths, _ = jax.tree_util.tree_flatten_with_path(state)
    for _, leaf in paths:
        if isinstance(leaf, jax.Array) and leaf.is_fully_addressable:
            leaf.copy_to_host_async()
    leaves: dict[str, HostLeaf] = {}
    for path, leaf in paths:
        name = _name(path)
        if name in leaves:
            raise UserError(f"Two arrays of the state are called {name!r}; rename one of them.")
        dtype, shape = _dtype_and_shape(leaf)
        key_impl = None
        if _is_key(dtype):
            key_impl = str(jax.random.key_impl(leaf))
            leaf = jax.random.key_data(leaf)
        leaves[name] = HostLeaf(_copy(name, leaf), str(dtype), shape, key_impl)
    return leaves


def describe(leaves: Mapping[str, HostLeaf]) -> dict[str, dict[str, Any]]:
    """Type, shape and SHA-256 of every leaf, as JSON."""
    return {
        name: {
            "dtype": leaf.dtype,
            "shape": list(leaf.shape),
            "stored_dtype": str(leaf.data.dtype),
            "stored_shape": list(leaf.data.shape),
            "key_impl": leaf.key_impl,
            "sha256": _digest(leaf.data),
        }
        for name, leaf in leaves.items()
    }


def empty_arrays(described: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The arrays without an element, which need not, and with Orbax cannot, be stored."""
    return {
        name: np.zeros(entry["stored_shape"], jnp.dtype(entry["stored_dtype"]))
        for name, entry in described.items()
        if 0 in entry["stored_shape"]
    }


def check_arrays(arrays: Mapping[str, np.ndarray], described: Mapping[str, Any]) -> None:
    """Compares arrays that were read with what `describe` said when they were saved.

    Raises:
      DamagedError: an array is missing, too many, or differs in type, shape or any bit.
    """
    for name, entry in described.items():
        if name not in arrays:
            raise DamagedError(f"array {name} is missing")
        if _digest(arrays[name]) != entry["sha256"]:
            raise DamagedError(f"array {name} was changed (its SHA-256 differs)")
    if extra := sorted(set(arrays) - set(described)):
        raise DamagedError(f"array {extra[0]} was not part of what was saved")


def misfit(abstract_state: Any, described: Mapping[str, Any]) -> str | None:
    """Says how the first differing leaf of the asked state differs from the saved one, or None.

    Args:
      abstract_state: pytree of `jax.ShapeDtypeStruct` or arrays.
      described: what `describe` said of the saved state.
    """
    paths, _ = jax.tree_util.tree_flatten_with_path(abstract_state)
    asked = {_name(path): _dtype_and_shape(leaf) for path, leaf in paths}
    for name, (dtype, shape) in asked.items():
        wanted = _spelled(str(dtype), shape)
        if name not in described:
            return f"{name} ({wanted} in the asked state) is not in the checkpoint"
        saved = _spelled(described[name]["dtype"], described[name]["shape"])
        if saved != wanted:
            return f"{name} is {saved} in the checkpoint and {wanted} in the asked state"
    for name, entry in described.items():
        if name not in asked:
            saved = _spelled(entry["dtype"], entry["shape"])
            return f"{name} ({saved} in the checkpoint) is not in the asked state"
    return None


def to_state(
    abstract_state: Any, arrays: Mapping[str, np.ndarray], described: Mapping[str, Any]
) -> Any:
    """Puts named arrays into the structure of `abstract_state`, which `misfit` found fitting.

    Leaves go where the `sharding` of the asked leaf says, else to the default device. A type that
    jax is not set up to hold (float64 without x64) stays a NumPy array, bit for bit.
    """

    def leaf(path: Iterable[Any], asked: Any) -> Any:
        entry, data = described[_name(path)], arrays[_name(path)]
        if jax.dtypes.canonicalize_dtype(data.dtype) != data.dtype:
            return data
        sharding = getattr(asked, "sharding", None)
        if isinstance(getattr(sharding, "mesh", None), jax.sharding.AbstractMesh):
            sharding = None  # What `jax.eval_shape` says: a spec without devices.
        if entry["key_impl"] is None:
            return jax.device_put(data, sharding)
        keys = jax.random.wrap_key_data(jnp.asarray(data), impl=entry["key_impl"])
        return jax.device_put(keys, sharding)

    return jax.tree_util.tree_map_with_path(leaf, abstract_state)


def _name(path: Iterable[Any]) -> str:
    return jax.tree_util.keystr(tuple(path), simple=True, separator="/")


def _spelled(dtype: str, shape: Iterable[int]) -> str:
    return f"{dtype}[{','.join(str(size) for size in shape)}]"


def _is_key(dtype: Any) -> bool:
    return jax.dtypes.issubdtype(dtype, jax.dtypes.prng_key)


def _dtype_and_shape(leaf: Any) -> tuple[Any, tuple[int, ...]]:
    if hasattr(leaf, "dtype"):
        return leaf.dtype, tuple(leaf.shape)
    return jax.dtypes.canonicalize_dtype(jnp.result_type(leaf)), ()


def _copy(name: str, leaf: Any) -> np.ndarray:
    if not isinstance(leaf, jax.Array):
        return np.array(leaf, dtype=_dtype_and_shape(leaf)[0], copy=True)
    if leaf.is_fully_replicated:
        leaf = leaf.addressable_data(0)
    elif not leaf.is_fully_addressable:
        raise UserError(
            f"{name} is spread over several processes; only replicated arrays can be saved yet."
        )
    # On the CPU, and in pinned memory, NumPy would see the device's own buffer.
    return np.array(leaf, copy=True)


def _digest(array: np.ndarray) -> str:
    digest = hashlib.sha256(_spelled(str(array.dtype), array.shape).encode())
    # bfloat16 has no buffer protocol, its bytes do.
    digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
    return digest.hexdigest()
