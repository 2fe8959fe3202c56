"""Compiled functions of runs side by side: `vmap` over rows, sharded over the devices."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from cnnlab.arrays import PyTree
from cnnlab.nn.cpu_kernels.compiler import compiler_options
from cnnlab.nn.cpu_kernels.switch import kernels_for_populations
from cnnlab.train.runtime.devices import fuse_steps
from cnnlab.train.runtime.input import gather

AXIS = "trial"


class VmappedSteps:
    """Steps of several runs in one program; rows are the first axis of each leaf of a carry.

    Devices hold equal parts of that axis and never communicate.

    Attributes:
      size: number of rows, a multiple of the devices.
      split: sharding of arrays with a row axis.
      whole: sharding of arrays that are copied to each device.
      eval: `call(variables, batch) -> sums`, compiled.
      put: `call(carry, row, other) -> carry` that replaces a row, compiled.
      copy: `call(carry, parents) -> carry` that copies the parents' rows but not their keys,
        compiled.
    """

    def __init__(
        self,
        advance: Callable[..., PyTree],
        eval_step: Callable[..., PyTree],
        devices: Sequence[jax.Device],
        rows: int,
    ):
        """Sets up the functions; compiles nothing yet.

        Args:
          advance: `advance(carry, batch, hparams) -> carry` of one run.
          eval_step: `eval_step(variables, batch) -> sums` of one run.
          devices: devices, at most one per row.
          rows: number of rows, rounded up to a multiple of the devices.
        """
        self._advance = advance
        self.size = -(-rows // len(devices)) * len(devices)
        mesh = jax.make_mesh((len(devices),), (AXIS,), (AxisType.Auto,), devices=list(devices))
        self._mesh, self.split = mesh, NamedSharding(mesh, P(AXIS))
        self.whole = NamedSharding(mesh, P())
        self._calls: dict[tuple[int, bool], Any] = {}
        self.eval = jax.jit(
            self._mapped(jax.vmap(eval_step, in_axes=(0, None)), P()),
            compiler_options=compiler_options(),
        )
        self.put = jax.jit(_put, donate_argnums=0, out_shardings=self.split)
        self.copy = jax.jit(_copy, donate_argnums=0, out_shardings=self.split)

    def train(self, count: int, together: bool) -> Any:
        """Returns the compiled `call(carry, data, indices, hparams) -> carry` for `count` steps.

        Args:
          count: number of steps.
          together: whether all rows have the same batches.
        """
        if (count, together) not in self._calls:
            self._calls[count, together] = self._compile(count, together)
        return self._calls[count, together]

    def _compile(self, count: int, together: bool) -> Any:
        advance = self._advance

        def advance_one(carry: PyTree, data: tuple, indices: jax.Array, hparams: PyTree) -> PyTree:
            return advance(carry, gather(*data, indices), hparams)

        def advance_rows(carry: PyTree, data: tuple, indices: jax.Array, hparams: PyTree) -> PyTree:
            def step(carry: PyTree, indices: jax.Array, hparams: PyTree) -> PyTree:
                if together:  # one batch for all
                    return jax.vmap(advance, (0, None, 0))(carry, gather(*data, indices), hparams)
                return jax.vmap(advance_one, (0, None, 0, 0))(carry, data, indices, hparams)

            return fuse_steps(step, count)(carry, indices, hparams)

        batch = () if together else (AXIS,)
        batch = P(*batch) if count == 1 else P(None, *batch)
        return jax.jit(
            self._mapped(advance_rows, P(), batch, P(AXIS)),
            donate_argnums=0,
            compiler_options=compiler_options(),
        )

    def _mapped(self, function: Any, *rest: P) -> Any:
        def mapped(*args: PyTree) -> PyTree:
            with kernels_for_populations():
                return function(*args)

        return jax.shard_map(
            mapped,
            mesh=self._mesh,
            in_specs=(P(AXIS), *rest),
            out_specs=P(AXIS),
            # Within a row nothing is shared out, so there is nothing to be checked.
            check_vma=False,
        )


def _put(rows: PyTree, row: jax.Array, tree: PyTree) -> PyTree:
    return jax.tree.map(lambda x, new: x.at[row].set(new), rows, tree)


def _copy(carry: PyTree, parents: jax.Array) -> PyTree:
    copied = jax.tree.map(lambda x: x[parents], carry)
    return copied | {"state": copied["state"].replace(rng=carry["state"].rng)}
