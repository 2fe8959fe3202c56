"""Runs a step on all devices: `jit` over a mesh, or `pmap`.

Both take and return a carry, replicated on each device, and take global batches whose first axis
(or second, when several steps are fused) is sharded over the devices. With `jit`, the arrays of the
carry and the rows of images can be sharded as well, if they are too large for one device.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from cnnlab.arrays import ROWS, PyTree
from cnnlab.errors import UserError
from cnnlab.nn.cpu_kernels.compiler import compiler_options
from cnnlab.nn.cpu_kernels.switch import without_cpu_kernels
from cnnlab.train.step import Apply

AXIS = "data"
PARAMETERS, HEIGHT = "parameters", "height"
# Arrays with fewer elements are copied to each device: cutting them saves less than it costs.
_SMALL = 2**12
Step = Callable[..., PyTree]


def fuse_steps(step: Step, count: int) -> Step:
    """Turns `step(carry, batch, hparams)` into `count` steps over batches stacked on a new axis."""
    if count == 1:
        return step

    def fused(carry: PyTree, batches: PyTree, hparams: PyTree) -> PyTree:
        if jax.default_backend() == "cpu":
            # XLA:CPU is 40 times slower with a convolution's gradient inside of a loop.
            for number in range(count):
                batch = jax.tree.map(lambda x: x[number], batches)  # noqa: B023
                carry = step(carry, batch, hparams)
            return carry
        return jax.lax.scan(lambda c, b: (step(c, b, hparams), None), carry, batches, length=count)[
            0
        ]

    return fused


class JitParallel:
    """One program for the whole mesh: batch statistics and sums are global.

    Attributes:
      num_devices: number of devices in the mesh.
      num_shares: number of shards of a batch.
      height: number of shards of an image's rows.
    """

    axis_name = None

    def __init__(self, devices: list[jax.Device], *, parameters: int = 1, height: int = 1):
        """Sets up the mesh; arguments as in `make_parallel`."""
        self.num_devices = len(devices)
        self.num_shares = len(devices) // height
        self._parameters, self.height = parameters, height
        self.mesh = jax.make_mesh(
            (self.num_shares // parameters, parameters, height),
            (AXIS, PARAMETERS, HEIGHT),
            (AxisType.Auto,) * 3,
            devices=devices,
        )
        self._replicated = NamedSharding(self.mesh, P())

    def _batch(self, *, stacked: bool = False) -> NamedSharding:
        # Devices that have different parts of the parameters have different examples as well.
        shares = (AXIS, PARAMETERS)
        return NamedSharding(self.mesh, P(None, shares) if stacked else P(shares))

    def _sharding(self, array: Any) -> NamedSharding:
        """Sharding of an array of the carry: along its longest divisible axis, or replicated.

        This is all that ZeRO and FSDP need: XLA derives where to gather weights for a layer and
        where to scatter gradients.
        """
        shape = np.shape(array)
        if self._parameters > 1 and np.prod(shape) >= _SMALL:
            even = [axis for axis, size in enumerate(shape) if size % self._parameters == 0]
            if even:
                longest = max(even, key=lambda axis: (shape[axis], axis))
                return NamedSharding(self.mesh, P(*[None] * longest, PARAMETERS))
        return self._replicated

    def replicate(self, tree: PyTree) -> PyTree:
        """Puts a tree of arrays on the devices; several hosts must pass the same arrays."""
        if jax.process_count() == 1:
            return jax.device_put(tree, jax.tree.map(self._sharding, tree))
        # `device_put` would compare every array with every host's, one by one.
        return jax.tree.map(self._place, tree)

    def _place(self, array: Any) -> jax.Array:
        if isinstance(array, jax.Array) and not array.is_fully_addressable:
            return array  # restored there from a checkpoint
        host = np.asarray(array)
        return jax.make_array_from_callback(host.shape, self._sharding(host), host.__getitem__)

    def collect(self, tree: PyTree) -> PyTree:
        """Inverse of `replicate`: arrays on one device; sharded ones stay sharded."""
        return jax.tree.map(lambda x: x.addressable_data(0) if x.is_fully_replicated else x, tree)

    def whole(self, tree: PyTree) -> PyTree:
        """Returns the arrays of a carry replicated on each device."""
        if self._parameters == 1:
            return tree
        return jax.jit(lambda x: x, out_shardings=self._replicated)(tree)

    def abstract(self, tree: PyTree) -> PyTree:
        """Returns shapes, dtypes and sharding to which a checkpoint is restored."""
        return jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=self._sharding(x)), tree
        )

    def around(self, apply: Apply) -> Apply:
        """Wraps a network's `apply` for images whose rows are sharded over the devices.

        Inputs and logits are those of one device; in between, XLA exchanges the rows that
        convolutions need at the seams.
        """
        if self.height == 1:
            return apply
        rows = NamedSharding(self.mesh, P((AXIS, PARAMETERS), HEIGHT))

        def applied(variables: PyTree, images: jax.Array, **kwargs: Any) -> Any:
            images = jax.lax.with_sharding_constraint(images, rows)
            # The forms for the CPU mix rows in ways that XLA cannot cut.
            with without_cpu_kernels():
                return apply(variables, images, **kwargs)

        return applied

    def shard(self, batch: PyTree, *, stacked: bool = False) -> PyTree:
        """Shards a batch over the devices; each process passes its part of the global batch."""
        sharding = self._batch(stacked=stacked)
        if jax.process_count() == 1:  # stays on the device where it is there already
            return jax.device_put(batch, sharding)
        return jax.tree.map(
            lambda x: jax.make_array_from_process_local_data(sharding, np.asarray(x)), batch
        )

    def compile_train(self, step: Step, count: int = 1) -> Step:
        """Compiles `step(carry, batch, hparams) -> carry`, `count` of them fused.

        The carry is donated.
        """
        fused = fuse_steps(step, count)

        def advance(carry: PyTree, batch: PyTree, hparams: PyTree) -> PyTree:
            carry = fused(carry, batch, hparams)
            return jax.lax.with_sharding_constraint(carry, jax.tree.map(self._sharding, carry))

        # With sharded parameters, the carry comes as `replicate` has put it.
        whole = self._replicated if self._parameters == 1 else None
        return jax.jit(
            fused if self._parameters == 1 else advance,
            in_shardings=(whole, self._batch(stacked=count > 1), whole),
            out_shardings=whole,
            donate_argnums=0,
            compiler_options=compiler_options(),
        )

    def compile_eval(self, step: Step) -> Step:
        """Compiles `step(variables, batch) -> sums`."""
        return jax.jit(
            step,
            in_shardings=(self._replicated, self._batch()),
            out_shardings=self._replicated,
            compiler_options=compiler_options(),
        )


class PmapParallel:
    """The same step on each device, combined over an axis; batch statistics are per device.

    Random draws differ between devices and from those under `jit`: each device folds its index into
    the key.
    """

    axis_name = AXIS
    height = 1

    def __init__(self, devices: list[jax.Device]):
        self.devices = devices
        self.num_devices = self.num_shares = len(devices)
        mesh = jax.make_mesh((len(devices),), (AXIS,), (AxisType.Auto,), devices=devices)
        self._stacked = NamedSharding(mesh, P(AXIS))

    def replicate(self, tree: PyTree) -> PyTree:
        """Stacks one copy of a tree for each device."""
        copies = jax.tree.map(lambda x: jnp.stack([jnp.asarray(x)] * self.num_devices), tree)
        return jax.device_put(copies, self._stacked)

    def collect(self, tree: PyTree) -> PyTree:
        """Returns the first device's copy."""
        return jax.tree.map(lambda x: x.addressable_shards[0].data.squeeze(0), tree)

    def whole(self, tree: PyTree) -> PyTree:
        """Returns the arrays unchanged, since nothing is sharded."""
        return tree

    def around(self, apply: Apply) -> Apply:
        """Returns `apply` unchanged, since nothing is sharded."""
        return apply

    def abstract(self, tree: PyTree) -> PyTree:
        """Returns shapes and dtypes to which a checkpoint is restored."""
        sharding = jax.sharding.SingleDeviceSharding(self.devices[0])
        return jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree
        )

    def shard(self, batch: PyTree, *, stacked: bool = False) -> PyTree:
        """Splits a batch into one part per device, on a new first axis."""
        parts = jax.tree.map(lambda x: self._cut(jnp.asarray(x), stacked), batch)
        return jax.device_put(parts, self._stacked)

    def _cut(self, x: jax.Array, stacked: bool) -> jax.Array:
        if not stacked:
            return x.reshape(self.num_devices, -1, *x.shape[1:])
        x = x.reshape(x.shape[0], self.num_devices, -1, *x.shape[2:])
        return x.swapaxes(0, 1)

    def compile_train(self, step: Step, count: int = 1) -> Step:
        """Compiles `step(carry, batch, hparams) -> carry`, which must combine over `axis_name`."""
        return jax.pmap(
            fuse_steps(step, count), axis_name=AXIS, devices=self.devices, donate_argnums=0
        )

    def compile_eval(self, step: Step) -> Step:
        """Compiles `step(variables, batch) -> sums`."""

        def summed(variables: PyTree, batch: PyTree) -> PyTree:
            sums = step(variables, batch)
            rows = {name: sums[name] for name in sums if name.startswith(ROWS)}
            total = jax.lax.psum({name: sums[name] for name in sums.keys() - rows}, AXIS)
            return total | jax.lax.all_gather(rows, AXIS, tiled=True)

        return jax.pmap(summed, axis_name=AXIS, devices=self.devices)


Parallel = JitParallel | PmapParallel


def make_parallel(
    kind: str, num_devices: int | None = None, *, parameters: int = 1, height: int = 1
) -> Parallel:
    """Chooses the devices and how they are used.

    Args:
      kind: `jit` or `pmap`.
      num_devices: number of visible devices to use; None uses all.
      parameters: number of devices that the arrays of the carry are sharded over, with `jit`.
      height: number of devices that the rows of images are sharded over, with `jit`.

    Raises:
      UserError: more devices than there are, numbers that do not divide theirs, or a choice that
        is not possible on several hosts.
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
    cut = f"sharding.parameters={parameters} times sharding.height={height}"
    if parameters * height > 1:
        _check_cut(cut, parameters * height, kind, len(devices) // jax.process_count())
    if kind == "pmap":
        return PmapParallel(devices)
    return JitParallel(devices, parameters=parameters, height=height)


def _check_cut(cut: str, parts: int, kind: str, num_devices: int) -> None:
    if kind == "pmap":
        raise UserError(f"{cut} needs parallel=jit.")
    if num_devices % parts:
        raise UserError(
            f"{cut} does not divide the {num_devices} device(s) of a host, over which both cut."
        )


def check_divisible(batch_size: int, parallel: Any) -> None:
    """Raises a `UserError` unless a batch can be sharded evenly over the devices."""
    if batch_size % parallel.num_shares:
        raise UserError(
            f"batch_size={batch_size} cannot be divided evenly over {parallel.num_devices} "
            f"devices: use a multiple of {parallel.num_shares}, or set num_devices."
        )


def check_rows(height: int, parallel: Any) -> None:
    """Raises a `UserError` unless the rows of images can be sharded evenly over the devices."""
    if height % parallel.height:
        raise UserError(
            f"Images of {height} rows cannot be divided evenly over "
            f"sharding.height={parallel.height} devices: set data.image_size to a multiple of that."
        )
