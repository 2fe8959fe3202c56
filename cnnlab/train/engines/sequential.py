"""Members trained in turn with the program of a single run; the training split is in memory."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from cnnlab.arrays import HParams, PyTree
from cnnlab.train.engines.base import Engine
from cnnlab.train.engines.compiled_steps import Carry, CompiledSteps
from cnnlab.train.evaluation import evaluate
from cnnlab.train.runtime.input import ResidentInput
from cnnlab.train.runtime.prefetch import InputClock
from cnnlab.train.state import TrainState


class SequentialEngine(Engine):
    """Advances each row with the program of a single run.

    Attributes:
      size: number of rows.
    """

    def __init__(self, compiled: CompiledSteps, rows: int):
        """Creates an engine without states; compiles nothing yet."""
        self._compiled, self.size = compiled, rows
        self._clock = InputClock(iter(()), self._idle)
        self._carries: list[Carry] = []
        self._hparams: list[PyTree] = []
        self._seeds: Sequence[int] = ()

    @functools.cached_property
    def _input(self) -> ResidentInput:
        return ResidentInput(
            self._compiled.dataset.splits["train"],
            batch_size=self._compiled.config.batch_size,
            sampling=self._compiled.config.data.sampling,
            members=self.size,
        )

    def fill(self, carries: Sequence[Carry]) -> None:
        self._carries = [self._compiled.parallel.replicate(c) for c in jax.device_get(carries)]

    def set_hparams(self, hparams: Sequence[HParams]) -> None:
        self._hparams = [self._compiled.place(own) for own in hparams]

    def set_seeds(self, seeds: Sequence[int]) -> None:
        self._seeds = seeds

    def put(self, row: int, carry: Carry) -> None:
        self._carries[row] = self._compiled.parallel.replicate(jax.device_get(carry))

    def copy(self, parents: Sequence[int]) -> None:
        before = list(self._carries)
        for index, parent in enumerate(parents):
            if parent != index:
                copied = jax.tree.map(jnp.copy, before[parent])
                state = copied["state"].replace(rng=before[index]["state"].rng)
                self._carries[index] = copied | {"state": state}

    def shrink(self, rows: Sequence[int], remaining_steps: int) -> bool:
        """Keeps all rows, since rows that are no longer trained cost nothing."""
        if len(rows) == self.size:
            return False
        self._carries = [self._carries[row] for row in rows]
        self.size = len(rows)
        return True

    def advance(self, steps: range) -> None:
        call, parallel = self._compiled.train(len(steps)), self._compiled.parallel
        for row, seed in enumerate(self._seeds):
            batch = self._clock.measure(lambda seed=seed: self._input.batch(seed, steps, parallel))
            self._carries[row] = call(self._carries[row], batch, self._hparams[row])

    def wait(self) -> None:
        jax.block_until_ready(self._carries)

    def take_input_seconds(self) -> float:
        return self._clock.take()

    def metrics(self) -> list[dict[str, np.ndarray]]:
        collect = self._compiled.parallel.collect
        return jax.device_get([collect(carry["metrics"]) for carry in self._carries])

    def reset_metrics(self) -> None:
        replicate, zeros = self._compiled.parallel.replicate, self._compiled.zero_metrics
        for row, carry in enumerate(self._carries):
            # A copy each time: the compiled step overwrites the buffers it is given.
            metrics = replicate(jax.tree.map(jnp.array, zeros))
            self._carries[row] = carry | {"metrics": metrics}

    def carries(self) -> list[Carry]:
        """Returns the `state` and `metrics` of each row, on the host."""
        return jax.device_get(self._carries)

    def variables(self, row: int) -> PyTree:
        parallel = self._compiled.parallel
        return parallel.collect(parallel.whole(self._carries[row]["state"].variables))

    def evaluate(
        self, split: str, states: Sequence[TrainState] | None = None
    ) -> list[dict[str, np.ndarray]]:
        compiled, parallel = self._compiled, self._compiled.parallel
        if states is None:
            found = (carry["state"].variables for carry in self._carries)
        else:
            found = (parallel.replicate(state.variables) for state in states)
        return [
            evaluate(
                compiled.eval,
                parallel.whole(variables),
                compiled.dataset.splits[split],
                parallel,
                batch_size=compiled.eval_batch_size,
            )
            for variables in found
        ]

    def clear(self) -> None:
        self._carries = []

    def _idle(self) -> bool:
        return all(carry["metrics"]["steps"].is_ready() for carry in self._carries)
