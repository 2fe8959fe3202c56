"""Metrics as they are read: their words, and shares in percent."""

import math

from cnnlab.registry import METRICS
from cnnlab.tasks import classification, multilabel, segmentation

NOTHING = "\N{EN DASH}"

# Metrics that are best when they are large are shares of what is counted, and read in percent.
SHARES = frozenset(
    name
    for metrics in (
        classification.METRICS,
        multilabel.METRICS,
        segmentation.METRICS,
        {entry.name: entry.details["mode"] for entry in METRICS.entries() if not entry.plugin},
    )
    for name, better in metrics.items()
    if better == "max"
)

_WORDS = {
    "miou": "mean IoU",
    "top5": "top-5 accuracy",
    "mean_dice": "mean Dice",
    "boundary_f1": "boundary F1",
    "auroc": "AUROC",
    "f1": "F1",
    "brier": "Brier score",
    "grad_norm": "gradient norm",
    "param_norm": "weight norm",
    "mean_class_accuracy": "mean accuracy of classes",
}


def metric_words(name: str) -> str:
    """The name of a number, as it is read."""
    return _WORDS.get(name, name.replace("_", " "))


def show_score(value: float | None, name: str) -> str:
    """A value of a metric as it is read: shares in percent."""
    if value is None or not math.isfinite(value):
        return NOTHING
    return f"{100 * value:.2f} %" if name in SHARES else f"{value:.4f}"
