"""Members side by side in one program; the training split is in memory."""

import time
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding

from cnnlab.arrays import HParams, PyTree
from cnnlab.train.engines.base import Engine
from cnnlab.train.engines.compiled_steps import Carry, CompiledSteps
from cnnlab.train.evaluation import evaluate
from cnnlab.train.runtime.input import ResidentInput
from cnnlab.train.runtime.prefetch import InputClock
from cnnlab.train.state import TrainState


class VmapEngine(Engine):
    """Advances all rows by one vmapped program.

    Attributes:
      size: number of rows, a multiple of the devices.
    """

    def __init__(self, compiled: CompiledSteps, rows: int):
        """Creates an engine without states; compiles nothing yet.

        Args:
          compiled: compiled steps of the members; the training split must be in memory.
          rows: number of rows, rounded up to a multiple of the devices.
        """
        self._compiled, self._programs = compiled, compiled.vmapped(rows)
        self._input = ResidentInput(
            compiled.dataset.splits["train"],
            batch_size=compiled.config.batch_size,
            sampling=compiled.config.data.sampling,
            where=self._programs.whole,
            members=self.size,
        )
        self._clock = InputClock(iter(()), self._idle)
        self._carry: Carry | None = None
        self._hparams: PyTree = None
        self._seeds: list[int] = []
        self._compile_seconds: float | None = None
        self._timed_steps = 0

    @property
    def size(self) -> int:
        return self._programs.size

    def fill(self, carries: Sequence[Carry]) -> None:
        self._carry = self._stack(carries)

    def set_hparams(self, hparams: Sequence[HParams]) -> None:
        hparams = self._padded(hparams)
        # Stacked from Python's scalars they stay weakly typed, as they are in a run on its own.
        stacked = jax.tree.map(lambda *n: jnp.stack([jnp.asarray(x) for x in n]), *hparams)
        self._hparams = jax.device_put(stacked, self._programs.split)

    def set_seeds(self, seeds: Sequence[int]) -> None:
        self._seeds = self._padded(seeds)

    def put(self, row: int, carry: Carry) -> None:
        self._carry = self._programs.put(self._carry, row, jax.device_get(carry))

    def copy(self, parents: Sequence[int]) -> None:
        parents = np.asarray([*parents, *range(len(parents), self.size)])
        self._carry = self._programs.copy(self._carry, parents)

    def shrink(self, rows: Sequence[int], remaining_steps: int) -> bool:
        """Drops rows if that saves more time than compiling a smaller program takes."""
        size = 2 ** (len(rows) - 1).bit_length()
        if size >= self.size or not self._worth_it(size, remaining_steps):
            return False
        self._programs = self._compiled.vmapped(size)
        chosen = jnp.asarray([*rows, *[rows[0]] * (self.size - len(rows))])
        carry = jax.tree.map(lambda x: x[chosen], self._carry)
        self._carry = jax.device_put(carry, self._programs.split)
        self._input.move(self._programs.whole)
        self._compile_seconds, self._timed_steps = None, 0
        return True

    def advance(self, steps: range) -> None:
        """Trains all rows and measures the time per step."""
        began = time.monotonic()
        together = len(set(self._seeds)) == 1
        indices = self._clock.measure(lambda: self._indices(steps, together))
        call = self._programs.train(len(steps), together)
        self._carry = call(self._carry, self._input.data, indices, self._hparams)
        if self._compile_seconds is None:
            self.wait()
            self._timed_from = time.monotonic()
            self._compile_seconds = self._timed_from - began
        else:
            self._timed_steps += len(steps)

    def wait(self) -> None:
        jax.block_until_ready(self._carry)

    def take_input_seconds(self) -> float:
        return self._clock.take()

    def metrics(self) -> list[dict[str, np.ndarray]]:
        return self._per_row(jax.device_get(self._carry["metrics"]))

    def reset_metrics(self) -> None:
        zeros = {
            name: np.broadcast_to(value, (self.size, *value.shape)).copy()
            for name, value in self._compiled.zero_metrics.items()
        }
        self._carry = self._carry | {"metrics": jax.device_put(zeros, self._programs.split)}

    def carries(self) -> list[Carry]:
        """Returns the `state` and `metrics` of each row, on the host."""
        return self._per_row(jax.device_get(self._carry))

    def variables(self, row: int) -> PyTree:
        rows = self._carry["state"].variables
        return jax.device_put(jax.tree.map(lambda x: x[row], rows), jax.local_devices()[0])

    def evaluate(
        self, split: str, states: Sequence[TrainState] | None = None
    ) -> list[dict[str, np.ndarray]]:
        if states is None:
            variables = self._carry["state"].variables
        else:
            variables = self._stack([state.variables for state in states])
        sums = evaluate(
            self._programs.eval,
            variables,
            self._compiled.dataset.splits[split],
            _Replicated(self._programs.whole),
            batch_size=self._compiled.eval_batch_size,
        )
        return self._per_row(sums)

    def clear(self) -> None:
        self._carry = None

    def _indices(self, steps: range, together: bool) -> np.ndarray:
        """Indices of the examples, [steps, rows, batch] without unneeded axes."""
        seeds = self._seeds[:1] if together else self._seeds
        indices = self._input.indices(seeds, steps).swapaxes(0, 1)
        if together:
            indices = indices[:, 0]
        return indices[0] if len(steps) == 1 else indices

    def _worth_it(self, size: int, remaining_steps: int) -> bool:
        """Whether fewer rows save more time than compiling took."""
        if not self._timed_steps:
            return False
        step_seconds = (time.monotonic() - self._timed_from) / self._timed_steps
        return remaining_steps * step_seconds * (1 - size / self.size) > self._compile_seconds

    def _idle(self) -> bool:
        return self._carry["metrics"]["steps"].is_ready()

    def _padded(self, values: Sequence) -> list:
        return [*values, *[values[0]] * (self.size - len(values))]

    def _stack(self, trees: Sequence[PyTree]) -> PyTree:
        """Stacks trees of single rows; surplus rows get a copy of the first."""
        trees = jax.device_get(self._padded(trees))
        stacked = jax.tree.map(lambda *x: np.stack(x), *trees)
        return jax.device_put(stacked, self._programs.split)

    def _per_row(self, tree: PyTree) -> list[PyTree]:
        return [jax.tree.map(lambda x: x[row], tree) for row in range(self.size)]  # noqa: B023


class _Replicated:
    """The interface that `evaluate` needs; every device gets the whole batch."""

    num_devices = num_shares = 1

    def __init__(self, sharding: NamedSharding):
        self._sharding = sharding

    def shard(self, batch: PyTree) -> PyTree:
        return jax.device_put(batch, self._sharding)

    def collect(self, tree: PyTree) -> PyTree:
        return tree
