"""Several hosts that train one network: how they connect, agree, and detect lost hosts.

Every host runs the same program. Only the first one (process 0) reads and writes the run's
folder, except for the arrays of checkpoints; it sends what it read to the others, so that all see
the same state. All functions here also work on a single host.
"""

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils

from cnnlab.arrays import PyTree
from cnnlab.config import Config, differences, from_json, to_json
from cnnlab.data import DatasetInfo
from cnnlab.errors import UserError

# How long a host may be silent before the others take it for lost. A connection that breaks is
# noticed at once; this is for machines and networks that just stop.
SILENCE_SECONDS = 30
# How long hosts wait for each other at the start.
JOIN_SECONDS = 300
LOST = (
    "Another host was lost; this one ends too. Start the remaining hosts again: the run resumes "
    "from its last checkpoint."
)

# What the errors of collectives on a broken connection have in common, on CPU and GPU.
_SIGNS_OF_LOSS = ("gloo", "nccl", "coordination service", "heartbeat", "connection closed by peer",
                  "connection reset", "socket closed", "preempted/died")  # fmt: skip
# Bytes are sent in pieces of one size, so that sending compiles one program.
_PIECE = 2**22


class LostHostError(UserError):
    """Raised when another host has ended or cannot be reached; this one cannot continue alone."""


def join(
    coordinator: str | None = None,
    num_processes: int | None = None,
    process_index: int | None = None,
    *,
    join_seconds: int = JOIN_SECONDS,
    silence_seconds: int = SILENCE_SECONDS,
) -> None:
    """Connects to the other hosts; must be called before anything is computed.

    Args:
      coordinator: `HOST:PORT` at which the process of index 0 listens.
      num_processes: number of processes.
      process_index: index of this process, from 0. Of these three, None is read from the
        environment: SLURM, TPU pods, Kubernetes or Open MPI.
      join_seconds: seconds to wait for the others, after which JAX ends the process.
      silence_seconds: seconds without a heartbeat after which a host counts as lost.

    Raises:
      UserError: impossible values, nothing found in the environment, or hosts with different
        numbers of devices.
    """
    check_addresses(coordinator, num_processes, process_index)
    # Where there is no accelerator, hosts talk through gloo; other platforms ignore this.
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    try:
        jax.distributed.initialize(
            coordinator,
            num_processes,
            process_index,
            initialization_timeout=join_seconds,
            heartbeat_timeout_seconds=silence_seconds,
        )
    except (ValueError, RuntimeError, TypeError) as error:
        reason = str(error).splitlines()[0]
        if "must be called before" in reason:
            raise
        raise UserError(
            "The hosts could not be found in the environment (SLURM, TPU pod, Kubernetes, Open "
            f"MPI; JAX says: {reason}) Give coordinator=HOST:PORT num_processes=N "
            "process_index=I to each."
        ) from error
    counts = np.bincount([device.process_index for device in jax.devices()])
    if len(counts) != jax.process_count() or len(set(counts)) > 1:
        raise UserError(
            f"The hosts must have equally many devices; those found have {counts.tolist()}."
        )


def leave() -> None:
    """Waits until the other hosts are done and disconnects."""
    jax.distributed.shutdown()


def check_addresses(
    coordinator: str | None, num_processes: int | None, process_index: int | None
) -> None:
    """Raises a `UserError` for impossible arguments of `join`."""
    if coordinator is not None:
        host, colon, port = coordinator.rpartition(":")
        if not (host and colon and port.isdecimal() and 0 < int(port) < 2**16):
            raise UserError(
                f"coordinator={coordinator} must be HOST:PORT, e.g. 10.0.0.1:1234, where the "
                "process with process_index=0 runs."
            )
    if num_processes is not None and num_processes < 1:
        raise UserError(f"num_processes={num_processes} must be at least 1.")
    if process_index is not None:
        known = num_processes is not None
        if process_index < 0 or (known and process_index >= num_processes):
            last = num_processes - 1 if known else "N - 1"
            raise UserError(
                f"process_index={process_index} must be from 0 to {last}: processes count from 0."
            )


def several() -> bool:
    """Whether there are other hosts."""
    return jax.process_count() > 1


def is_first() -> bool:
    """Whether this host is the one that reads and writes the run's folder."""
    return jax.process_index() == 0


def from_first(read: Callable[[], Any]) -> Any:
    """Returns on all hosts the result of `read()`, JSON values; only the first one calls it."""
    if not several():
        return read()
    payload = json.dumps(read()).encode() if is_first() else b""
    return json.loads(_from_first(payload))


def arrays_from_first(tree: PyTree, shapes: PyTree) -> PyTree:
    """Returns the first host's arrays on all hosts, as NumPy arrays.

    Args:
      tree: tree of arrays; ignored on other hosts.
      shapes: tree of the same structure, whose leaves have `shape` and `dtype`.
    """
    if not several():
        return tree
    payload = b""
    if is_first():
        payload = b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(tree))
    payload = _from_first(payload)
    leaves, start = [], 0
    for leaf in jax.tree.leaves(shapes):
        dtype = jnp.dtype(leaf.dtype)
        stop = start + leaf.size * dtype.itemsize
        leaves.append(np.frombuffer(payload[start:stop], dtype).reshape(leaf.shape))
        start = stop
    return jax.tree.unflatten(jax.tree.structure(shapes), leaves)


def check_same(config: Config, info: DatasetInfo) -> None:
    """Raises a `UserError` on all hosts if one has another config or data than the first.

    Execution fields, e.g. of speed, may differ between them.
    """
    if not several():
        return
    theirs = from_first(lambda: {"config": to_json(config), "data": info.to_json()})
    lines = differences(from_json(theirs["config"]), config)
    if theirs["data"] != json.loads(json.dumps(info.to_json())):
        lines.append(f"data: {theirs['data']['num_examples']} -> {dict(info.num_examples)}, or "
                     "other classes or statistics")  # fmt: skip
    differ = np.flatnonzero(multihost_utils.process_allgather(np.int32(bool(lines)))).tolist()
    if lines:
        shown = "\n  ".join(lines)
        raise UserError(
            f"This host, number {jax.process_index()}, has another experiment than the first "
            f"(first -> this):\n  {shown}\nStart all hosts with the same flags and data."
        )
    if differ:
        raise UserError(
            f"Host {', '.join(map(str, differ))} has another experiment than the first; it shows "
            "the difference. Start all hosts with the same flags and data."
        )


@contextlib.contextmanager
def losses_named() -> Iterator[None]:
    """Context in which errors caused by a lost host become a `LostHostError`."""
    try:
        yield
    # XLA's errors are ValueErrors or RuntimeErrors, depending on where they come up.
    except (ValueError, RuntimeError) as error:
        lost = any(sign in str(error).lower() for sign in _SIGNS_OF_LOSS)
        if not several() or isinstance(error, UserError) or not lost:
            raise
        raise LostHostError(LOST) from error


def _from_first(payload: bytes) -> bytes:
    """Sends bytes from the first host to all."""
    # Two numbers, because JAX would cut 64 bits to 32.
    count, rest = multihost_utils.broadcast_one_to_all(
        np.array(divmod(len(payload), _PIECE), np.int32)
    )
    pieces = []
    for start in range(0, (int(count) + 1) * _PIECE, _PIECE):
        piece = np.zeros(_PIECE, np.uint8)
        part = payload[start : start + _PIECE]
        piece[: len(part)] = np.frombuffer(part, np.uint8)
        pieces.append(np.asarray(multihost_utils.broadcast_one_to_all(piece)).tobytes())
    return b"".join(pieces)[: int(count) * _PIECE + int(rest)]
