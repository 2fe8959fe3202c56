"""One run on a mesh of devices, by `jit` or `pmap`, on one host or several."""

from collections.abc import Iterator, Sequence
from typing import Any

from cnnlab.arrays import HParams
from cnnlab.data.geometry.crops import TrainCrop
from cnnlab.train.engines.compiled_steps import Carry, CompiledSteps
from cnnlab.train.engines.sequential import SequentialEngine
from cnnlab.train.run_data import crop_of
from cnnlab.train.runtime.input import training_input
from cnnlab.train.runtime.prefetch import InputClock


class SingleEngine(SequentialEngine):
    """Engine with a single row, whose arrays may be sharded over hosts and whose data streamed."""

    def __init__(self, compiled: CompiledSteps):
        """Creates an engine without state; compiles nothing yet."""
        super().__init__(compiled, 1)
        self._crop: TrainCrop | None = None
        self._feed: Iterator[tuple[int, Any]] | None = None

    def fill(self, carries: Sequence[Carry]) -> None:
        self._carries = [self._compiled.parallel.replicate(carry) for carry in carries]

    def set_hparams(self, hparams: Sequence[HParams]) -> None:
        (own,) = hparams
        crop = crop_of(self._compiled.config, self._compiled.dataset.info, own)
        if crop != self._crop:
            self._close_input()
        self._crop = crop
        super().set_hparams(hparams)

    def put(self, row: int, carry: Carry) -> None:
        self.fill([carry])

    def advance(self, steps: range) -> None:
        """Trains for these steps, which must follow those of the previous call."""
        if self._feed is None:
            self._start_input(steps.start)
        count, batch = next(self._clock)
        if count != len(steps):
            raise ValueError(
                f"The next batch is for {count} steps, but {len(steps)} were requested."
            )
        self._carries = [self._compiled.train(count)(*self._carries, batch, *self._hparams)]

    def carries(self) -> list[Carry]:
        return [self._compiled.parallel.collect(carry) for carry in self._carries]

    def clear(self) -> None:
        """Frees the state and closes the input."""
        self._close_input()
        super().clear()

    def _start_input(self, step: int) -> None:
        config, (seed,) = self._compiled.config, self._seeds
        self._feed = training_input(
            self._compiled.dataset.splits["train"],
            self._compiled.parallel,
            seed=seed,
            batch_size=config.batch_size,
            start_step=step,
            stop_step=self._compiled.total_steps,
            steps_per_call=self._compiled.steps_per_call,
            num_workers=config.data.num_workers,
            sampling=config.data.sampling,
            crop=self._crop,
        )
        self._clock = InputClock(self._feed, self._idle)

    def _close_input(self) -> None:
        if self._feed is not None:
            self._feed.close()
        self._feed = None
