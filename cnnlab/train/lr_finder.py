"""Searches a learning rate by raising it over a short run (Smith 2017, arXiv:1506.01186, sec. 3.3).

The suggestion is where the smoothed loss falls fastest over the logarithm of the rate.
"""

import dataclasses
from collections.abc import Callable

import jax
import numpy as np
import optax

from cnnlab.data import Dataset
from cnnlab.errors import UserError
from cnnlab.train.feed import make_feed
from cnnlab.train.finetune import make_finetune_optimizer
from cnnlab.train.parallel import make_parallel
from cnnlab.train.setup import Setup


@dataclasses.dataclass(frozen=True)
class LearningRateSearch:
    """Result of a search.

    Attributes:
      rates: learning rate of each step, rising by a constant factor.
      losses: mean training loss of each step, in nats.
      smoothed: the losses as an exponential moving average.
      suggestion: a learning rate.
    """

    rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray
    suggestion: float


def find_learning_rate(
    setup: Setup,
    dataset: Dataset,
    *,
    lowest: float = 1e-5,
    highest: float = 10.0,
    num_steps: int = 100,
    progress: Callable[[int, float], None] | None = None,
) -> LearningRateSearch:
    """Trains from scratch while the learning rate rises exponentially.

    Stops early once the smoothed loss is four times its minimum, or is not finite.

    Args:
      setup: its schedule is replaced.
      dataset: as the setup's.
      lowest: first learning rate.
      highest: last learning rate.
      num_steps: updates from the first to the last.
      progress: called with (step, loss) after each.

    Raises:
      UserError: fewer than 10 steps, lowest not below highest, or a loss that explodes at once.
    """
    if not 0 < lowest < highest:
        raise UserError(f"lowest={lowest} must be positive and below highest={highest}.")
    if num_steps < 10:
        raise UserError(f"num_steps={num_steps} is too few to see a trend: take 10 or more.")
    rates = np.geomspace(lowest, highest, num_steps)
    schedule = optax.exponential_decay(lowest, num_steps - 1, highest / lowest)
    tx = make_finetune_optimizer(
        setup.config,
        schedule,
        model=setup.model,
        image_shape=setup.info.image_shape,
        num_examples=setup.info.num_examples["train"],
    )
    setup = dataclasses.replace(setup, tx=tx)
    parallel = make_parallel("jit", 1)
    step_fn = setup.train_step()

    def advance(carry: tuple, batch: dict[str, jax.Array]) -> tuple:
        state, sums = step_fn(carry[0], batch)
        return state, sums["loss"] / sums["count"]

    call = parallel.compile_train(advance)
    feed = make_feed(
        dataset.splits["train"],
        parallel,
        seed=setup.config.seed,
        batch_size=setup.config.batch_size,
        start_step=0,
        stop_step=num_steps,
        steps_per_call=1,
        num_workers=setup.config.data.num_workers,
    )
    carry = parallel.replicate((setup.create_state(), np.float32(0.0)))
    losses, smoothed, average = [], [], 0.0
    for step, (_, batch) in enumerate(feed):
        carry = call(carry, batch)
        loss = float(carry[1])
        average = 0.9 * average + 0.1 * loss
        corrected = average / (1 - 0.9 ** (step + 1))
        if not np.isfinite(loss) or (smoothed and corrected > 4 * min(smoothed)):
            break
        losses.append(loss)
        smoothed.append(corrected)
        if progress is not None:
            progress(step + 1, loss)
    if len(losses) < 10:
        raise UserError(
            f"The loss exploded after {len(losses)} steps at a learning rate of "
            f"{rates[len(losses)]:.2g}: start lower than lowest={lowest}."
        )
    rates, values = rates[: len(losses)], np.array(smoothed)
    # The first steps are noise of the average's start; the fall is looked for up to the minimum.
    end = max(int(values.argmin()), 6)
    slopes = np.gradient(values[: end + 1], np.log(rates[: end + 1]))
    suggestion = float(rates[5 + int(slopes[5:].argmin())])
    return LearningRateSearch(rates, np.array(losses), values, suggestion)
