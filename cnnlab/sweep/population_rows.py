"""A population as rows of one program: `vmap` over the trial axis, shared out over the devices."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from cnnlab.nn.forms import forms_for_populations
from cnnlab.sweep.population_batches import Batches
from cnnlab.train.evaluate import evaluate
from cnnlab.train.feed import gather
from cnnlab.train.numbers import Numbers
from cnnlab.train.parallel import fuse_steps
from cnnlab.train.programs import Carry, Programs
from cnnlab.train.state import PyTree, TrainState

AXIS = "trial"


def rows_of(programs: Programs, rows: int) -> "Rows":
    """Rows whose functions are compiled once, however often they are asked for."""
    key = (Rows, rows)
    if key not in programs.more:
        programs.more[key] = Rows(programs, rows)
    return programs.more[key]


class Rows:
    """As many carries as there are rows, trained together; what a row holds is its user's matter.

    Every leaf of the carry has the trial axis in front. Devices hold equal parts of it and never
    talk to each other.

    Attributes:
      size: number of rows, a multiple of the devices.
    """

    def __init__(self, programs: Programs, rows: int):
        """Compiles nothing yet, and holds no carries.

        Args:
          programs: of the members' skeleton; its data set must be held in memory.
          rows: wanted; rounded up to a multiple of the devices.
        """
        self._programs = programs
        devices = programs.parallel.mesh.devices.ravel()[:rows]
        self.size = -(-rows // len(devices)) * len(devices)
        mesh = jax.make_mesh((len(devices),), (AXIS,), (AxisType.Auto,), devices=list(devices))
        self._mesh, self._split = mesh, NamedSharding(mesh, P(AXIS))
        self._whole = NamedSharding(mesh, P())
        self._batches = Batches(programs, self.size, self._whole)
        self._calls: dict[tuple[int, bool], Any] = {}
        self._eval = jax.jit(self._mapped(jax.vmap(programs.eval_step, in_axes=(0, None)), P()))
        self._put = jax.jit(_put, donate_argnums=0, out_shardings=self._split)
        self._copy = jax.jit(_copy, donate_argnums=0, out_shardings=self._split)
        self.carry: Carry | None = None

    def fill(self, carries: Sequence[Carry]) -> None:
        """Gives each row its `state` and `window`; rows beyond them get the first one's."""
        self.carry = self._stack([{"state": c["state"], "window": c["window"]} for c in carries])

    def set_numbers(self, numbers: Sequence[Numbers]) -> None:
        """Gives each row its numbers, which are Python's; likewise."""
        numbers = [*numbers, *[numbers[0]] * (self.size - len(numbers))]
        # Stacked from Python's numbers they stay weakly typed, as they are in a run on its own.
        stacked = jax.tree.map(lambda *n: jnp.stack([jnp.asarray(x) for x in n]), *numbers)
        self.carry = self.carry | {"numbers": jax.device_put(stacked, self._split)}

    def put(self, row: int, carry: Carry) -> None:
        """Gives one row another `state` and `window`."""
        rows, carry = _without_numbers(self.carry), _without_numbers(carry)
        self.carry = self.carry | self._put(rows, row, jax.device_get(carry))

    def shrunk(self, rows: Sequence[int], size: int) -> "Rows":
        """Fewer rows, with `state` and `window` of these ones."""
        fewer = rows_of(self._programs, size)
        chosen = jnp.asarray([*rows, *[rows[0]] * (fewer.size - len(rows))])
        carry = _without_numbers(self.carry)
        fewer.carry = jax.device_put(jax.tree.map(lambda x: x[chosen], carry), fewer._split)
        return fewer

    def copy(self, parents: Sequence[int]) -> None:
        """Gives each row `state` and `window` of its parent, but for its own random numbers."""
        parents = np.asarray([*parents, *range(len(parents), self.size)])
        self.carry = self.carry | self._copy(_without_numbers(self.carry), parents)

    def clear(self) -> None:
        """Forgets the carries, which need memory, and keeps the compiled functions."""
        self.carry = None

    def wait(self) -> None:
        """Until all that was asked for is computed."""
        jax.block_until_ready(self.carry)

    def advance(self, steps: Sequence[int], seeds: Sequence[int]) -> None:
        """Trains all rows for the steps of these numbers, with the batches of each row's seed."""
        together = len(set(seeds)) == 1
        indices = self._batches.indices(seeds[:1] if together else seeds, steps).swapaxes(0, 1)
        if together:
            indices = indices[:, 0]
        if len(steps) == 1:
            indices = indices[0]
        self.carry = self._call(len(steps), together)(self.carry, self._batches.data, indices)

    def windows(self) -> list[dict[str, np.ndarray]]:
        """Each row's metric sums since the last reset, on the host."""
        return self._per_row(jax.device_get(self.carry["window"]))

    def reset_windows(self) -> None:
        """Starts all rows' metric sums anew."""
        zeros = {
            name: np.broadcast_to(value, (self.size, *value.shape)).copy()
            for name, value in jax.device_get(self._programs.zero_window).items()
        }
        self.carry = self.carry | {"window": jax.device_put(zeros, self._split)}

    def carries(self) -> list[Carry]:
        """Each row's `state` and `window` on the host."""
        return self._per_row(jax.device_get(_without_numbers(self.carry)))

    def evaluate(
        self, split: str, states: Sequence[TrainState] | None = None
    ) -> list[dict[str, np.ndarray]]:
        """Each row's metric sums on one split of the data; of its state, or of given ones."""
        if states is None:
            variables = self.carry["state"].variables
        else:
            variables = self._stack([state.variables for state in states])
        sums = evaluate(
            self._eval,
            variables,
            self._programs.dataset.splits[split],
            _Replicated(self._whole),
            batch_size=self._programs.eval_batch_size,
        )
        return self._per_row(sums)

    def _stack(self, trees: Sequence[PyTree]) -> PyTree:
        """Trees of one row each, as one of all rows; rows beyond them get the first one's."""
        trees = jax.device_get([*trees, *[trees[0]] * (self.size - len(trees))])
        return jax.device_put(jax.tree.map(lambda *x: np.stack(x), *trees), self._split)

    def _call(self, count: int, together: bool) -> Any:
        if (count, together) not in self._calls:
            advance = self._programs.advance

            def advance_one(carry: Carry, data: tuple, indices: jax.Array) -> Carry:
                return advance(carry, gather(*data, indices))

            def advance_rows(carry: Carry, data: tuple, indices: jax.Array) -> Carry:
                def step(carry: Carry, indices: jax.Array) -> Carry:
                    if together:  # one batch for all
                        return jax.vmap(advance, (0, None))(carry, gather(*data, indices))
                    return jax.vmap(advance_one, (0, None, 0))(carry, data, indices)

                return fuse_steps(step, count)(carry, indices)

            batch = () if together else (AXIS,)
            batch = P(*batch) if count == 1 else P(None, *batch)
            self._calls[count, together] = jax.jit(
                self._mapped(advance_rows, P(), batch), donate_argnums=0
            )
        return self._calls[count, together]

    def _mapped(self, function: Any, *rest: P) -> Any:
        def mapped(*args: PyTree) -> PyTree:
            with forms_for_populations():
                return function(*args)

        return jax.shard_map(
            mapped,
            mesh=self._mesh,
            in_specs=(P(AXIS), *rest),
            out_specs=P(AXIS),
            # Within a row nothing is shared out, so there is nothing to be checked.
            check_vma=False,
        )

    def _per_row(self, tree: PyTree) -> list[PyTree]:
        return [jax.tree.map(lambda x: x[row], tree) for row in range(self.size)]  # noqa: B023


class _Replicated:
    """What `evaluate` asks of the devices: every one of them gets the whole batch."""

    num_devices = num_shares = 1

    def __init__(self, sharding: NamedSharding):
        self._sharding = sharding

    def shard(self, batch: PyTree) -> PyTree:
        return jax.device_put(batch, self._sharding)

    def collect(self, tree: PyTree) -> PyTree:
        return tree


def _without_numbers(carry: Carry) -> Carry:
    return {"state": carry["state"], "window": carry["window"]}


def _put(rows: PyTree, row: jax.Array, tree: PyTree) -> PyTree:
    return jax.tree.map(lambda x, new: x.at[row].set(new), rows, tree)


def _copy(carry: Carry, parents: jax.Array) -> Carry:
    copied = jax.tree.map(lambda x: x[parents], carry)
    return copied | {"state": copied["state"].replace(rng=carry["state"].rng)}
