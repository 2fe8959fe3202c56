"""Converts a state to named arrays for Orbax, and back.

Leaves are named by their key path, `params/backbone/conv1/kernel`, so that a checkpoint does not
depend on how jax, flax or optax spell their containers.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from cnnlab.errors import UserError

Described = Mapping[str, Mapping[str, Any]]


def named_arrays(state: Any) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Returns the leaves of `state` by name, for Orbax, and a description of each.

    Typed random keys become their uint32 words. Arrays that are sharded over devices, of this host
    or of several, stay sharded. On several hosts, replicated arrays become NumPy arrays, which the
    first host writes.

    Returns:
      The arrays by name, without empty ones, which Orbax refuses; and for every leaf its `dtype`,
      `shape` and `key_impl` (None unless it is a random key) as JSON.

    Raises:
      UserError: two leaves have the same name.
    """
    arrays: dict[str, Any] = {}
    described: dict[str, dict[str, Any]] = {}
    for path, leaf in jax.tree_util.tree_flatten_with_path(state)[0]:
        name = _name(path)
        if name in described:
            raise UserError(f"Two arrays of the state are called {name!r}; rename one of them.")
        dtype, shape = _dtype_and_shape(leaf)
        described[name] = {"dtype": str(dtype), "shape": list(shape), "key_impl": None}
        if _is_key(dtype):
            described[name]["key_impl"] = str(jax.random.key_impl(leaf))
            leaf = jax.random.key_data(leaf)
        if not isinstance(leaf, jax.Array):
            leaf = np.array(leaf, dtype)
        elif jax.process_count() > 1 and leaf.is_fully_replicated:
            leaf = np.array(leaf.addressable_data(0))
        elif jax.default_backend() == "cpu" and leaf.is_fully_addressable:
            # Orbax would read the device's own buffer, which a donating step overwrites.
            leaf = jnp.copy(leaf)
        if leaf.size:
            arrays[name] = leaf
    return arrays, described


def misfit(abstract_state: Any, described: Described) -> str | None:
    """Describes the first leaf that differs between requested and saved state; None if all fit.

    Args:
      abstract_state: pytree of `jax.ShapeDtypeStruct` or arrays.
      described: description of the saved state by `named_arrays`.
    """
    paths, _ = jax.tree_util.tree_flatten_with_path(abstract_state)
    asked = {_name(path): _spelled(*_dtype_and_shape(leaf)) for path, leaf in paths}
    saved = {name: _spelled(entry["dtype"], entry["shape"]) for name, entry in described.items()}
    for name in asked | saved:
        if name not in saved:
            return f"{name} ({asked[name]} in the requested state) is not in the checkpoint"
        if name not in asked:
            return f"{name} ({saved[name]} in the checkpoint) is not in the requested state"
        if asked[name] != saved[name]:
            return (
                f"{name} is {saved[name]} in the checkpoint and {asked[name]} in the requested "
                "state"
            )
    return None


def read_state(folder: Path, abstract_state: Any, described: Described) -> Any:
    """Reads arrays into the structure of `abstract_state`, which must fit by `misfit`.

    A leaf is placed by the `sharding` of the requested leaf, and each host reads its own parts
    only; without a sharding, it is placed on the default device. A type that jax is not configured
    to hold (float64 without x64) becomes a NumPy array, bit for bit.

    Args:
      folder: folder of the checkpoint.
      abstract_state: pytree of `jax.ShapeDtypeStruct` or arrays.
      described: description of the saved state by `named_arrays`.
    """
    paths, structure = jax.tree_util.tree_flatten_with_path(abstract_state)
    asked = {_name(path): leaf for path, leaf in paths}
    how = {
        name: _how_to_read(asked[name], entry)
        for name, entry in described.items()
        if 0 not in entry["shape"]
    }
    arrays = ocp.PyTreeCheckpointHandler().restore(
        folder, args=ocp.args.PyTreeRestore(item=dict.fromkeys(how, 0), restore_args=how)
    )
    leaves = [
        _leaf(asked[name], described[name], arrays.get(name)) for name in map(_name, dict(paths))
    ]
    return jax.tree.unflatten(structure, leaves)


def _how_to_read(asked: Any, entry: Mapping[str, Any]) -> ocp.RestoreArgs:
    sharding = _sharding(asked)
    if sharding is None or entry["key_impl"] is not None or _is_beyond_jax(entry):
        return ocp.RestoreArgs(restore_type=np.ndarray)
    return ocp.ArrayRestoreArgs(sharding=sharding)


def _leaf(asked: Any, entry: Mapping[str, Any], array: Any) -> Any:
    implementation = entry["key_impl"]
    if array is None:  # an empty one
        words, dtype = (), entry["dtype"]
        if implementation is not None:
            key = jax.random.key_data(jax.random.key(0, impl=implementation))
            words, dtype = key.shape, key.dtype
        array = np.zeros((*entry["shape"], *words), jnp.dtype(dtype))
    if implementation is not None:
        array = jax.random.wrap_key_data(jnp.asarray(array), impl=implementation)
    elif _is_beyond_jax(entry):
        return array
    sharding = _sharding(asked)
    placed = isinstance(array, jax.Array) and sharding == array.sharding
    return array if placed else jax.device_put(array, sharding)


def _sharding(asked: Any) -> jax.sharding.Sharding | None:
    sharding = getattr(asked, "sharding", None)
    # The sharding from `jax.eval_shape` is a spec without devices.
    abstract = isinstance(getattr(sharding, "mesh", None), jax.sharding.AbstractMesh)
    return None if abstract else sharding


def _is_beyond_jax(entry: Mapping[str, Any]) -> bool:
    if entry["key_impl"] is not None:
        return False
    dtype = jnp.dtype(entry["dtype"])
    return jax.dtypes.canonicalize_dtype(dtype) != dtype


def _name(path: Iterable[Any]) -> str:
    return jax.tree_util.keystr(tuple(path), simple=True, separator="/")


def _spelled(dtype: Any, shape: Iterable[int]) -> str:
    return f"{dtype}[{','.join(str(size) for size in shape)}]"


def _is_key(dtype: Any) -> bool:
    return jax.dtypes.issubdtype(dtype, jax.dtypes.prng_key)


def _dtype_and_shape(leaf: Any) -> tuple[Any, tuple[int, ...]]:
    if hasattr(leaf, "dtype"):
        return leaf.dtype, tuple(leaf.shape)
    return jax.dtypes.canonicalize_dtype(jnp.result_type(leaf)), ()
