"""One run on a mesh of devices, by `jit` or `pmap`, on one host or several."""

from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnnlab.arrays import HParams, PyTree
from cnnlab.data.geometry.crops import TrainCrop
from cnnlab.train.engines.base import Engine
from cnnlab.train.engines.compiled_steps import Carry, CompiledSteps
from cnnlab.train.evaluation import evaluate
from cnnlab.train.run_data import crop_of
from cnnlab.train.runtime.input import training_input
from cnnlab.train.runtime.prefetch import InputClock
from cnnlab.train.state import TrainState


class SingleEngine(Engine):
    """Engine with a single row, whose data may be streamed."""

    size = 1

    def __init__(self, compiled: CompiledSteps):
        """Creates an engine without state; compiles nothing yet."""
        self._compiled = compiled
        self._carry: Carry | None = None
        self._hparams: PyTree = None
        self._crop: TrainCrop | None = None
        self._feed: Iterator[tuple[int, Any]] | None = None
        self._clock: InputClock | None = None

    def fill(self, carries: Sequence[Carry]) -> None:
        (carry,) = carries
        self._carry = self._compiled.parallel.replicate(carry)

    def set_hparams(self, hparams: Sequence[HParams]) -> None:
        (own,) = hparams
        crop = crop_of(self._compiled.config, self._compiled.dataset.info, own)
        if self._feed is not None and crop != self._crop:
            self._feed.close()
            self._feed = self._clock = None
        self._crop = crop
        self._hparams = self._compiled.place(own)

    def set_seeds(self, seeds: Sequence[int]) -> None:
        (self._seed,) = seeds

    def put(self, row: int, carry: Carry) -> None:
        self.fill([carry])

    def copy(self, parents: Sequence[int]) -> None:
        """Does nothing: the only row is its own parent."""

    def shrink(self, rows: Sequence[int], remaining_steps: int) -> bool:
        return False

    def advance(self, steps: range) -> None:
        """Trains for these steps, which must follow those of the previous call."""
        if self._clock is None:
            self._start_input(steps.start)
        count, batch = next(self._clock)
        if count != len(steps):
            raise ValueError(
                f"The next batch is for {count} steps, but {len(steps)} were requested."
            )
        self._carry = self._compiled.train(count)(self._carry, batch, self._hparams)

    def wait(self) -> None:
        jax.block_until_ready(self._carry)

    def take_input_seconds(self) -> float:
        return self._clock.take()

    def metrics(self) -> list[dict[str, np.ndarray]]:
        return [jax.device_get(self._compiled.parallel.collect(self._carry["metrics"]))]

    def reset_metrics(self) -> None:
        # A copy each time: the compiled step overwrites the buffers it is given.
        zeros = jax.tree.map(jnp.array, self._compiled.zero_metrics)
        self._carry = self._carry | {"metrics": self._compiled.parallel.replicate(zeros)}

    def carries(self) -> list[Carry]:
        return [self._compiled.parallel.collect(self._carry)]

    def variables(self, row: int) -> PyTree:
        parallel = self._compiled.parallel
        return parallel.collect(parallel.whole(self._carry["state"].variables))

    def evaluate(
        self, split: str, states: Sequence[TrainState] | None = None
    ) -> list[dict[str, np.ndarray]]:
        compiled, parallel = self._compiled, self._compiled.parallel
        state = self._carry["state"] if states is None else parallel.replicate(states[0])
        return [
            evaluate(
                compiled.eval,
                parallel.whole(state.variables),
                compiled.dataset.splits[split],
                parallel,
                batch_size=compiled.eval_batch_size,
            )
        ]

    def clear(self) -> None:
        """Frees the state and closes the input."""
        if self._feed is not None:
            self._feed.close()
        self._carry = self._feed = self._clock = None

    def _start_input(self, step: int) -> None:
        config = self._compiled.config
        self._feed = training_input(
            self._compiled.dataset.splits["train"],
            self._compiled.parallel,
            seed=self._seed,
            batch_size=config.batch_size,
            start_step=step,
            stop_step=self._compiled.total_steps,
            steps_per_call=self._compiled.steps_per_call,
            num_workers=config.data.num_workers,
            sampling=config.data.sampling,
            crop=self._crop,
        )
        self._clock = InputClock(self._feed, self._idle)

    def _idle(self) -> bool:
        return self._carry["metrics"]["steps"].is_ready()
