"""Which checkpoints of a run are the best, and which of them are kept."""

import math
from collections.abc import Mapping


def ranked(metrics: Mapping[int, float | None], mode: str) -> list[int]:
    """Steps that have a metric, best first; of equal ones the later step is better.

    A checkpoint without a metric, or with NaN, is never the best.

    Args:
      metrics: metric by step, None where there is none.
      mode: "max" if a greater metric is better, "min" if a smaller one is.
    """
    sign = 1 if mode == "max" else -1
    known = {
        step: sign * metric
        for step, metric in metrics.items()
        if metric is not None and not math.isnan(metric)
    }
    return sorted(known, key=lambda step: (known[step], step), reverse=True)


def kept(metrics: Mapping[int, float | None], keep: int, mode: str) -> set[int]:
    """The `keep` latest steps and the best one."""
    return {*sorted(metrics)[-keep:], *ranked(metrics, mode)[:1]}
