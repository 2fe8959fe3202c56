"""Learning rate schedules from a config: functions of the step and the hyper-parameters."""

from typing import Any, Protocol

import jax
import jax.numpy as jnp
import optax

from cnnlab.arrays import HParams
from cnnlab.config.options import check_options, keyword_options
from cnnlab.config.schema import ScheduleConfig
from cnnlab.errors import UserError, did_you_mean
from cnnlab.registry import SCHEDULES, register_schedule
from cnnlab.train.optim.run_length import RunLength


class Schedule(Protocol):
    """The learning rate as a function of the step."""

    def __call__(self, step: jax.Array | int, hparams: HParams | None = None) -> Any:
        """Returns the rate of the update after `step` updates; `hparams` override the config's."""


def schedule_notes(schedule: ScheduleConfig, length: RunLength) -> list[str]:
    """Returns sentences about parts of the schedule that the run does not reach."""
    late = [epochs for epochs in schedule.step_epochs if length.steps(epochs) >= length.total]
    if schedule.name != "step" or not late:
        return []
    return [
        f"The run ends before schedule.step_epochs {', '.join(f'{e:g}' for e in late)}: the "
        "learning rate does not change there."
    ]


def make_schedule(schedule: ScheduleConfig, length: RunLength, learning_rate: float) -> Schedule:
    """Builds `schedule(step, hparams)`, the learning rate after `step` updates.

    An optional linear warm-up from 0 is followed by the schedule over the remaining steps. The peak
    and `end_factor` are hyper-parameters. `cnnlab.register_schedule` registers further schedules.

    Args:
      schedule: the config's schedule.
      length: length of the run.
      learning_rate: the peak where hyper-parameters give no other.

    Raises:
      UserError: an unknown schedule or option, or a warm-up that is not shorter than the run.
    """
    factory = SCHEDULES.get(schedule.name)
    total, warmup = length.total, length.steps(schedule.warmup_epochs)
    if warmup >= total:
        raise UserError(
            f"schedule.warmup_epochs={schedule.warmup_epochs} is {warmup} steps, and the whole run "
            f"has only {total}."
        )
    corners = [length.steps(epochs) for epochs in schedule.step_epochs]
    fields = {
        "end_factor": schedule.end_factor,
        "peak_fraction": schedule.peak_fraction,
        "power": schedule.power,
        "cycle_steps": length.steps(schedule.cycle_epochs),
        "cycle_factor": schedule.cycle_factor,
        "step_factor": schedule.step_factor,
        # Corners are counted from the start of the run, the schedule from the warm-up's end.
        "corners": tuple(corner - warmup for corner in corners),
    }
    known = keyword_options(factory)
    for option in schedule.options:
        if option not in known or option in fields:
            raise UserError(
                f"Schedule '{schedule.name}' has no option '{option}'."
                + did_you_mean(option, known.keys() - fields.keys())
            )
    check_options("schedule.options", schedule.options, known)
    arguments = {name: value for name, value in fields.items() if name in known}
    arguments |= schedule.options

    def rate(step: jax.Array | int, hparams: HParams | None = None) -> Any:
        hparams = hparams or {}
        peak = hparams.get("optimizer.learning_rate", learning_rate)
        given = {n: hparams.get(f"schedule.{n}", value) for n, value in arguments.items()}
        main = factory(peak, total - warmup, **given)
        if not warmup:
            return main(step)
        rising = optax.linear_schedule(0.0, peak, warmup)
        return optax.join_schedules([rising, main], [warmup])(step)

    return rate


@register_schedule("constant")
def constant(peak: float, steps: int) -> optax.Schedule:
    """Constant learning rate `peak`."""
    del steps
    return optax.constant_schedule(peak)


@register_schedule("linear")
def linear(peak: float, steps: int, *, end_factor: float = 0.0) -> optax.Schedule:
    """Decreases linearly from `peak` to `end_factor * peak`."""
    return optax.linear_schedule(peak, peak * end_factor, steps)


@register_schedule("cosine")
def cosine(peak: float, steps: int, *, end_factor: float = 0.0) -> optax.Schedule:
    """Decreases along half a cosine to `end_factor * peak`, without restarts.

    References:
      Loshchilov & Hutter 2017, arXiv:1608.03983.
    """
    return optax.cosine_decay_schedule(peak, steps, alpha=end_factor)


@register_schedule("step")
def step(
    peak: float, steps: int, *, corners: tuple[int, ...] = (), step_factor: float = 0.1
) -> optax.Schedule:
    """Multiplies the learning rate by `step_factor` at each of `corners`, counted in steps."""
    del steps
    # Corners that round to the same step all apply.
    factors = {corner: step_factor ** corners.count(corner) for corner in corners}
    return optax.piecewise_constant_schedule(peak, factors)


@register_schedule("one_cycle")
def one_cycle(
    peak: float, steps: int, *, peak_fraction: float = 0.3, end_factor: float = 0.0
) -> optax.Schedule:
    """Increases linearly from 0 to `peak`, then decreases linearly to `end_factor * peak`.

    Args:
      peak: highest learning rate.
      steps: number of steps of both parts.
      peak_fraction: share of the steps after which the peak is reached.
      end_factor: last learning rate divided by `peak`.

    References:
      Smith 2018, arXiv:1803.09820, with both halves linear.
    """
    rise = max(1, round(peak_fraction * steps))
    return optax.join_schedules(
        [
            optax.linear_schedule(0.0, peak, rise),
            optax.linear_schedule(peak, peak * end_factor, steps - rise),
        ],
        [rise],
    )


@register_schedule("polynomial")
def polynomial(
    peak: float, steps: int, *, power: float = 0.9, end_factor: float = 0.0
) -> optax.Schedule:
    """Decreases from `peak` to `end_factor * peak` as (1 - step / steps) ** power.

    Args:
      peak: first learning rate.
      steps: number of steps.
      power: exponent; 1 is linear, 0.9 the "poly" schedule of segmentation networks.
      end_factor: last learning rate divided by `peak`.

    References:
      Chen et al. 2016, "DeepLab", arXiv:1606.00915, sec. 4.1.
    """
    return optax.polynomial_schedule(peak, peak * end_factor, power, steps)


@register_schedule("cosine_restarts")
def cosine_restarts(
    peak: float,
    steps: int,
    *,
    cycle_steps: int = 1,
    cycle_factor: float = 2.0,
    end_factor: float = 0.0,
) -> optax.Schedule:
    """Decreases along half a cosine to `end_factor * peak` in each of several cycles (SGDR).

    Args:
      peak: learning rate at the start of each cycle.
      steps: number of steps of all cycles; the last cycle may be cut short.
      cycle_steps: length of the first cycle in steps, T_0 of the paper.
      cycle_factor: length of a cycle divided by that of the previous one, T_mult of the paper;
        at least 1. Lengths are rounded to whole steps.
      end_factor: learning rate at the end of a cycle divided by `peak`.

    References:
      Loshchilov & Hutter 2017, arXiv:1608.03983, eq. 5.
    """
    starts, length = [0], float(cycle_steps)
    while starts[-1] + round(length) < steps:
        starts.append(starts[-1] + round(length))
        length *= cycle_factor
    ends = jnp.array([*starts[1:], starts[-1] + round(length)], jnp.int32)
    begins = jnp.array(starts, jnp.int32)

    def rate(step: jax.Array | int) -> jax.Array:
        cycle = jnp.searchsorted(begins, step, side="right") - 1
        progress = (step - begins[cycle]) / (ends[cycle] - begins[cycle])
        cosine = 0.5 * (1.0 + jnp.cos(jnp.pi * jnp.clip(progress, 0.0, 1.0)))
        return peak * (end_factor + (1.0 - end_factor) * cosine)

    return rate
