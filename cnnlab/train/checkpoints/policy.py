"""Which checkpoints of a run are the best, and which of them are kept."""

import math
from collections.abc import Mapping
from types import SimpleNamespace

from orbax.checkpoint import checkpoint_managers as orbax


def ranked(metrics: Mapping[int, float | None], mode: str) -> list[int]:
    """Returns the steps with a metric, best first; of equal ones, the later step is better.

    A checkpoint without a metric, or with NaN, is never the best.

    Args:
      metrics: metric by step; None if there is none.
      mode: `max` if a greater metric is better, `min` if a smaller one is.
    """
    sign = 1 if mode == "max" else -1
    known = {
        step: sign * metric
        for step, metric in metrics.items()
        if metric is not None and not math.isnan(metric)
    }
    return sorted(known, key=lambda step: (known[step], step), reverse=True)


def kept(metrics: Mapping[int, float | None], keep: int, mode: str) -> set[int]:
    """Returns the `keep` latest steps and the best one, by Orbax's preservation policies."""
    order = {step: -place for place, step in enumerate(ranked(metrics, mode))}
    checkpoints = [SimpleNamespace(step=s, metrics=order.get(s)) for s in sorted(metrics)]
    best = orbax.BestN(
        n=1, get_metric_fn=lambda place: place, keep_checkpoints_without_metrics=False
    )
    policy = orbax.AnyPreservationPolicy([orbax.LatestN(keep), best])
    flags = policy.should_preserve(checkpoints, context=orbax.PreservationContext())
    return {info.step for info, flag in zip(checkpoints, flags, strict=True) if flag}
