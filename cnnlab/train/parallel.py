"""Runs a step on all devices: `jit` over a mesh with one axis, `data`, or `pmap`.

Both take and give the same things: a replicated carry, and global batches whose first axis (or
second, when several steps are fused) is shared out over the devices.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from cnnlab.errors import UserError
from cnnlab.train.state import PyTree

AXIS = "data"
Step = Callable[[PyTree, PyTree], PyTree]


def fuse_steps(step: Step, count: int) -> Step:
    """Turns `step(carry, batch) -> carry` into `count` steps over batches stacked on a new axis."""
    if count == 1:
        return step

    def fused(carry: PyTree, batches: PyTree) -> PyTree:
        if jax.default_backend() == "cpu":
            # XLA:CPU is 40 times slower with a convolution's gradient inside of a loop.
            for number in range(count):
                carry = step(carry, jax.tree.map(lambda x: x[number], batches))  # noqa: B023
            return carry
        return jax.lax.scan(lambda c, b: (step(c, b), None), carry, batches, length=count)[0]

    return fused


class JitParallel:
    """One program for the whole mesh: batch statistics and sums are global."""

    axis_name = None

    def __init__(self, devices: list[jax.Device]):
        self.num_devices = len(devices)
        self.mesh = jax.make_mesh((len(devices),), (AXIS,), (AxisType.Auto,), devices=devices)
        self._replicated = NamedSharding(self.mesh, P())

    def replicate(self, tree: PyTree) -> PyTree:
        """Puts a tree of arrays on every device; several hosts must give the same arrays."""
        if jax.process_count() == 1:
            return jax.device_put(tree, self._replicated)
        # `device_put` would compare every array with every host's, one by one.
        return jax.tree.map(self._place, tree)

    def _place(self, array: Any) -> jax.Array:
        host = np.asarray(array)
        return jax.make_array_from_callback(host.shape, self._replicated, host.__getitem__)

    def collect(self, tree: PyTree) -> PyTree:
        """The inverse of `replicate`: arrays on one device of this host."""
        return jax.tree.map(lambda x: x.addressable_data(0), tree)

    def abstract(self, tree: PyTree) -> PyTree:
        """Shapes, types and sharding that a checkpoint should be restored to."""
        return jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=self._replicated), tree
        )

    def shard(self, batch: PyTree, *, stacked: bool = False) -> PyTree:
        """Shares a batch out over the devices; each process gives its part of the global batch."""
        sharding = NamedSharding(self.mesh, P(None, AXIS) if stacked else P(AXIS))
        if jax.process_count() == 1:  # stays on the device where it is there already
            return jax.device_put(batch, sharding)
        return jax.tree.map(
            lambda x: jax.make_array_from_process_local_data(sharding, np.asarray(x)), batch
        )

    def compile_train(self, step: Step, count: int = 1) -> Step:
        """Compiles `step(carry, batch) -> carry`, `count` of them fused; the carry is donated."""
        batch = NamedSharding(self.mesh, P(None, AXIS) if count > 1 else P(AXIS))
        return jax.jit(
            fuse_steps(step, count),
            in_shardings=(self._replicated, batch),
            out_shardings=self._replicated,
            donate_argnums=0,
        )

    def compile_eval(self, step: Step) -> Step:
        """Compiles `step(variables, batch) -> sums`."""
        batch = NamedSharding(self.mesh, P(AXIS))
        return jax.jit(step, in_shardings=(self._replicated, batch), out_shardings=self._replicated)


class PmapParallel:
    """The same step on each device, combined over an axis; batch statistics are the devices' own.

    Random draws differ between devices, and from those under `jit`: each device folds its number
    into the key.
    """

    axis_name = AXIS

    def __init__(self, devices: list[jax.Device]):
        self.devices = devices
        self.num_devices = len(devices)
        mesh = jax.make_mesh((len(devices),), (AXIS,), (AxisType.Auto,), devices=devices)
        self._stacked = NamedSharding(mesh, P(AXIS))

    def replicate(self, tree: PyTree) -> PyTree:
        """Stacks one copy of a tree for each device."""
        copies = jax.tree.map(lambda x: jnp.stack([jnp.asarray(x)] * self.num_devices), tree)
        return jax.device_put(copies, self._stacked)

    def collect(self, tree: PyTree) -> PyTree:
        """The first device's copy."""
        return jax.tree.map(lambda x: x.addressable_shards[0].data.squeeze(0), tree)

    def abstract(self, tree: PyTree) -> PyTree:
        """Shapes and types that a checkpoint should be restored to."""
        sharding = jax.sharding.SingleDeviceSharding(self.devices[0])
        return jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree
        )

    def shard(self, batch: PyTree, *, stacked: bool = False) -> PyTree:
        """Cuts a batch into one part for each device, on a new first axis."""
        parts = jax.tree.map(lambda x: self._cut(jnp.asarray(x), stacked), batch)
        return jax.device_put(parts, self._stacked)

    def _cut(self, x: jax.Array, stacked: bool) -> jax.Array:
        if not stacked:
            return x.reshape(self.num_devices, -1, *x.shape[1:])
        x = x.reshape(x.shape[0], self.num_devices, -1, *x.shape[2:])
        return x.swapaxes(0, 1)

    def compile_train(self, step: Step, count: int = 1) -> Step:
        """As `JitParallel.compile_train`; `step` must combine over `axis_name`."""
        return jax.pmap(
            fuse_steps(step, count), axis_name=AXIS, devices=self.devices, donate_argnums=0
        )

    def compile_eval(self, step: Step) -> Step:
        """As `JitParallel.compile_eval`."""

        def summed(variables: PyTree, batch: PyTree) -> PyTree:
            return jax.lax.psum(step(variables, batch), AXIS)

        return jax.pmap(summed, axis_name=AXIS, devices=self.devices)


Parallel = JitParallel | PmapParallel


def make_parallel(kind: str, num_devices: int | None = None) -> Parallel:
    """Chooses devices and the way to use them.

    Args:
      kind: `jit` or `pmap`.
      num_devices: how many of the visible devices; None takes all.

    Raises:
      UserError: more devices than there are, or a choice that several hosts do not allow.
    """
    devices = jax.devices()
    if jax.process_count() > 1 and (kind == "pmap" or num_devices not in (None, len(devices))):
        chosen = f"parallel={kind}" if kind == "pmap" else f"num_devices={num_devices}"
        raise UserError(
            f"{chosen} is for a single host: several use all their {len(devices)} devices, by jit."
        )
    if num_devices is not None and num_devices > len(devices):
        raise UserError(
            f"num_devices={num_devices}, but only {len(devices)} "
            f"{devices[0].platform} device(s) can be seen."
        )
    devices = devices[:num_devices]
    return PmapParallel(devices) if kind == "pmap" else JitParallel(devices)


def check_divisible(name: str, size: int, parallel: Any) -> None:
    """Raises a `UserError` unless a batch can be shared out evenly over the devices."""
    if size % parallel.num_devices:
        raise UserError(
            f"{name}={size} cannot be shared out evenly over {parallel.num_devices} devices: take "
            f"a multiple of {parallel.num_devices}, or set num_devices."
        )
