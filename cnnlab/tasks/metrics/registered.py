"""Registered metrics that a config names in addition to those of its task."""

import inspect
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import jax
import numpy as np

from cnnlab.arrays import ROWS, Batch, Sums
from cnnlab.errors import UserError
from cnnlab.registry import METRICS


class Metric(Protocol):
    """Interface of a metric that `cnnlab.register_metric` registers.

    A metric that needs the scores of all examples at once has `rows(logits, batch)` instead of
    `sums`: arrays with a row for each example, [batch, ...]. `finalize` then gets the rows of all
    examples without padding. `batch` has `label`, `mask`, and the task's `probabilities`.
    Metrics with the same attribute `group` share sums and rows; `per_class(sums)` is optional.
    """

    def sums(self, logits: jax.Array, batch: Batch) -> Mapping[str, jax.Array]:
        """Arrays that add up over batches; examples whose `batch["mask"]` is 0 do not count."""

    def finalize(self, sums: Mapping[str, Any]) -> float:
        """Returns the metric from the sums over all batches."""


def make_metrics(names: Iterable[str], *, task: str, num_classes: int) -> dict[str, Metric]:
    """Creates metrics by name.

    Args:
      names: names in the registry of metrics.
      task: name of the task that they evaluate.
      num_classes: number of classes, passed to factories that accept it.

    Raises:
      UserError: an unknown name, or an object without `sums` (or `rows`) and `finalize`.
    """
    metrics = {}
    for name in names:
        metric = METRICS.get(name, task=task)
        if isinstance(metric, type) or not (hasattr(metric, "sums") or hasattr(metric, "rows")):
            takes = inspect.signature(metric).parameters
            metric = metric(**({"num_classes": num_classes} if "num_classes" in takes else {}))
        gathers = getattr(metric, "sums", None) or getattr(metric, "rows", None)
        if not (callable(gathers) and callable(getattr(metric, "finalize", None))):
            raise UserError(
                f"The metric '{name}' must have sums(logits, batch) and finalize(sums); it is a "
                f"{type(metric).__name__}."
            )
        metrics[name] = metric
    return metrics


def metric_modes(names: Iterable[str], *, task: str) -> dict[str, str]:
    """`max` or `min` of each metric: whether larger or smaller values are better."""
    return {name: METRICS.entry(name, task=task).details["mode"] for name in names}


def metric_sums(metrics: Mapping[str, Metric], logits: jax.Array, batch: Batch) -> Sums:
    """Sums and rows of all metrics over one batch, under `GROUP/KEY` and `ROWS GROUP/KEY`."""
    found: Sums = {}
    for name, metric in metrics.items():
        prefix = _prefix(name, metric)
        if prefix.startswith(ROWS):
            values = metric.rows(logits, batch)
            found[f"{ROWS}mask"] = batch["mask"]
        else:
            values = metric.sums(logits, batch)
        found |= {prefix + key: value for key, value in values.items()}
    return found


def metric_values(metrics: Mapping[str, Metric], sums: Mapping[str, Any]) -> dict[str, float]:
    """Values of the metrics whose sums are present: all after an evaluation, none in training."""
    own = {name: _own(name, metric, sums) for name, metric in metrics.items()}
    return {name: float(metrics[name].finalize(own[name])) for name in own if own[name]}


def values_per_class(
    metrics: Mapping[str, Metric], sums: Mapping[str, Any]
) -> dict[str, list[float]]:
    """Value of each metric per class, for metrics that have one, e.g. `f1`; NaN where undefined."""
    return {
        name: np.asarray(metric.per_class(_own(name, metric, sums)), np.float64).tolist()
        for name, metric in metrics.items()
        if hasattr(metric, "per_class")
    }


def _own(name: str, metric: Metric, sums: Mapping[str, Any]) -> dict[str, Any]:
    """The sums or rows of one metric, under its own keys."""
    prefix = _prefix(name, metric)
    return {k.removeprefix(prefix): v for k, v in sums.items() if k.startswith(prefix)}


def _prefix(name: str, metric: Metric) -> str:
    kind = "" if hasattr(metric, "sums") else ROWS
    return f"{kind}{getattr(metric, 'group', name)}/"
