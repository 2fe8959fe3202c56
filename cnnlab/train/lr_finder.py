"""Searches a learning rate by raising it over short runs (Smith 2017, arXiv:1506.01186, sec. 3.3).

The suggestion is where the smoothed loss, averaged over runs of several seeds, falls fastest over
the logarithm of the rate before it rises for the first time. A short run at that rate verifies it.
"""

import dataclasses
from collections.abc import Callable, Iterator

import jax
import numpy as np

from cnnlab.arrays import HParams
from cnnlab.data import Dataset
from cnnlab.errors import UserError
from cnnlab.train.experiment import Experiment
from cnnlab.train.optim.finetune import make_finetune_optimizer
from cnnlab.train.run_data import crop_of
from cnnlab.train.runtime.devices import make_parallel
from cnnlab.train.runtime.input import training_input
from cnnlab.train.warm_start import initial_state

_RATE = "optimizer.learning_rate"
_MEMORY = 0.9  # of the moving average of the loss
# A divergence is a rise by these shares of what the loss has fallen by, and of its first value.
_RISE, _NOISE = 0.15, 0.1
_FIRST = 5  # steps whose average says nothing yet
_TRIES = 4


@dataclasses.dataclass(frozen=True)
class LearningRateSearch:
    """Result of a search.

    Attributes:
      rates: learning rate of each step, rising by a constant factor, up to the first divergence.
      losses: mean training loss of each step and sweep, in nats; [sweeps, steps].
      smoothed: the losses as an exponential moving average, averaged over the sweeps.
      suggestion: a learning rate.
      verified: whether a short run at the suggestion has learned.
    """

    rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray
    suggestion: float
    verified: bool


def find_learning_rate(
    experiment: Experiment,
    dataset: Dataset,
    *,
    lowest: float = 1e-5,
    highest: float = 10.0,
    num_steps: int = 100,
    num_sweeps: int = 3,
    progress: Callable[[int, float], None] | None = None,
) -> LearningRateSearch:
    """Trains from scratch while the learning rate rises exponentially, once for each of some seeds.

    A sweep ends at its first divergence: a smoothed loss that is not finite, or that has risen from
    its minimum by 15 % of what it had fallen by and by 10 % of its first value. What is verified is
    that a run of `num_steps` at the suggestion, with a further seed, lowers the loss by more than
    its noise; if it does not, a third of the suggestion is tried.

    Args:
      experiment: its schedule is replaced.
      dataset: as the experiment's.
      lowest: first learning rate.
      highest: last learning rate.
      num_steps: updates from the first to the last.
      num_sweeps: with as many seeds, from the config's on.
      progress: called with (step, loss) after each update of a sweep.

    Raises:
      UserError: fewer than 10 steps, lowest not below highest, or a loss that explodes at once.
    """
    if not 0 < lowest < highest:
        raise UserError(f"lowest={lowest} must be positive and below highest={highest}.")
    if num_steps < 10:
        raise UserError(f"num_steps={num_steps} is too few to see a trend: take 10 or more.")
    if num_sweeps < 1:
        raise UserError(f"num_sweeps={num_sweeps} must be at least 1.")
    rates = np.geomspace(lowest, highest, num_steps)
    runs = _Runs(experiment, dataset, lowest)
    sweeps = []
    for number in range(num_sweeps):
        losses = []
        for loss in runs.losses(number, rates):
            losses.append(loss)
            if _divergence(smooth(losses)) is not None:
                break
            if progress is not None:
                progress(len(losses), loss)
        sweeps.append(losses)
    length = min(map(len, sweeps))
    losses = np.array([losses[:length] for losses in sweeps])
    smoothed = np.mean([smooth(each) for each in losses], axis=0)
    length = _divergence(smoothed) or length
    rates, losses, smoothed = rates[:length], losses[:, :length], smoothed[:length]
    if length < 10:
        raise UserError(
            f"The loss exploded after {length} steps at a learning rate of {rates[-1]:.2g}: start "
            f"lower than lowest={lowest}."
        )
    suggestion = steepest(rates, smoothed)
    for _ in range(_TRIES):
        if falls(list(runs.losses(num_sweeps, np.full(num_steps, suggestion)))):
            return LearningRateSearch(rates, losses, smoothed, suggestion, True)
        suggestion /= 3
    return LearningRateSearch(rates, losses, smoothed, suggestion, False)


def steepest(rates: np.ndarray, smoothed: np.ndarray) -> float:
    """The rate at which the loss falls fastest over the logarithm of the rate."""
    end = max(int(smoothed.argmin()), _FIRST + 1)
    slopes = np.gradient(smoothed[: end + 1], np.log(rates[: end + 1]))
    return float(rates[_FIRST + int(slopes[_FIRST:].argmin())])


def falls(losses: list[float]) -> bool:
    """Whether the last quarter is lower than the first by more than three standard errors."""
    quarter = max(len(losses) // 4, 2)
    first, last = np.array(losses[:quarter]), np.array(losses[-quarter:])
    error = np.sqrt((first.var(ddof=1) + last.var(ddof=1)) / quarter)
    return bool(first.mean() - last.mean() > 3 * error)  # false for NaN


def smooth(losses: list[float] | np.ndarray) -> np.ndarray:
    """The exponential moving average, corrected for its start at zero."""
    averages, average = [], 0.0
    for step, loss in enumerate(losses):
        average = _MEMORY * average + (1 - _MEMORY) * loss
        averages.append(average / (1 - _MEMORY ** (step + 1)))
    return np.array(averages)


def _divergence(smoothed: np.ndarray) -> int | None:
    """The number of losses before the first divergence; None where there is none."""
    # The first ones are averages of a few batches, which say nothing yet.
    start = smoothed[min(_FIRST, len(smoothed) - 1)]
    lowest = np.minimum.accumulate(np.concatenate([np.full(_FIRST, start), smoothed[_FIRST:]]))
    lowest = lowest[: len(smoothed)]
    risen = smoothed - lowest > np.maximum(_RISE * (start - lowest), _NOISE * abs(start))
    risen[:_FIRST] = False
    bad = np.flatnonzero(risen | ~np.isfinite(smoothed))
    return int(bad[0]) if len(bad) else None


class _Runs:
    """Trains from scratch, each step at a rate of its own, all with one compiled program."""

    def __init__(self, experiment: Experiment, dataset: Dataset, rate: float):
        tx = make_finetune_optimizer(
            experiment.config.finetune,
            experiment.config.optimizer,
            lambda step, hparams: hparams.get(_RATE, rate),
            length=experiment.length,
            model=experiment.model,
            image_shape=experiment.info.image_shape,
        )
        self._experiment = dataclasses.replace(experiment, tx=tx)
        self._dataset, self._parallel = dataset, make_parallel("jit", 1)
        step_fn = self._experiment.train_step()

        def advance(carry: tuple, batch: dict[str, jax.Array], hparams: HParams) -> tuple:
            state, sums = step_fn(carry[0], batch, hparams)
            return state, sums["loss"] / sums["count"]

        self._call = self._parallel.compile_train(advance)

    def losses(self, number: int, rates: np.ndarray) -> Iterator[float]:
        """The training loss of each step; `number` is added to the seed of the config."""
        config = self._experiment.config
        config = dataclasses.replace(config, seed=config.seed + number)
        experiment = dataclasses.replace(self._experiment, config=config)
        feed = training_input(
            self._dataset.splits["train"],
            self._parallel,
            seed=config.seed,
            batch_size=config.batch_size,
            start_step=0,
            stop_step=len(rates),
            steps_per_call=1,
            num_workers=config.data.num_workers,
            sampling=config.data.sampling,
            crop=crop_of(config, experiment.info),
        )
        carry = self._parallel.replicate((initial_state(experiment), np.float32(0.0)))
        for rate, (_, batch) in zip(rates, feed, strict=True):
            carry = self._call(carry, batch, {_RATE: np.float32(rate)})
            yield float(carry[1])
