"""Learning rate schedules from a config: functions of the step, in optax's form."""

import math

import optax

from cnnlab.config.schema import Config
from cnnlab.errors import UserError


def total_steps(config: Config, num_examples: int) -> int:
    """How many updates the run makes on a training split of `num_examples`."""
    if config.steps is not None:
        return config.steps
    return max(1, math.ceil(config.epochs * num_examples / config.batch_size))


def epochs_to_steps(epochs: float, config: Config, num_examples: int) -> int:
    """The step nearest to a point of the run given in epochs; at least 1 for any positive one."""
    steps = round(epochs * num_examples / config.batch_size)
    return max(1, steps) if epochs > 0 else 0


def make_schedule(config: Config, num_examples: int) -> optax.Schedule:
    """The learning rate as a function of the number of updates made before.

    A linear warm-up from 0, if there is one, is followed by the schedule proper over the rest:

    - `constant`: 1;
    - `linear`, `cosine` (Loshchilov & Hutter 2017, without restarts): from 1 down to `end_factor`;
    - `step`: multiplied by `step_factor` at each of `step_epochs`;
    - `one_cycle` (Smith 2018, arXiv:1803.09820; linear in both halves): from 0 up to 1 at
      `peak_fraction` of the run, and down to `end_factor`;

    each times `optimizer.learning_rate`.

    Raises:
      UserError: a warm-up that is not over before the run is.
    """
    schedule, peak = config.schedule, config.optimizer.learning_rate
    total = total_steps(config, num_examples)
    warmup = epochs_to_steps(schedule.warmup_epochs, config, num_examples)
    if warmup >= total:
        raise UserError(
            f"schedule.warmup_epochs={schedule.warmup_epochs} is {warmup} steps, and the whole run "
            f"has only {total}."
        )
    rest = total - warmup
    end = peak * schedule.end_factor
    if schedule.name == "constant":
        main = optax.constant_schedule(peak)
    elif schedule.name == "linear":
        main = optax.linear_schedule(peak, end, rest)
    elif schedule.name == "cosine":
        main = optax.cosine_decay_schedule(peak, rest, alpha=schedule.end_factor)
    elif schedule.name == "step":
        corners = [epochs_to_steps(e, config, num_examples) for e in schedule.step_epochs]
        main = optax.piecewise_constant_schedule(
            # Corners are counted from the start of the run, the schedule from the warm-up's end.
            peak,
            {corner - warmup: schedule.step_factor for corner in corners},
        )
    else:
        rise = max(1, round(schedule.peak_fraction * total))
        main = optax.join_schedules(
            [optax.linear_schedule(0.0, peak, rise), optax.linear_schedule(peak, end, rest - rise)],
            [rise],
        )
    if not warmup:
        return main
    return optax.join_schedules([optax.linear_schedule(0.0, peak, warmup), main], [warmup])
