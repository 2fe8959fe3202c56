"""The numbers that the page's script draws: curves and confusion matrices."""

import math
from typing import Any

import numpy as np

from cnnlab.analysis.evaluation.confusion import most_confused
from cnnlab.report.run_page.run_record import RunRecord
from cnnlab.report.run_page.tables import color_of
from cnnlab.tasks.segmentation import overlap_scores
from cnnlab.tasks.words import SHARES, metric_words
from cnnlab.train.callbacks.json_lines import Row

# In the order of the page's panels.
_NUMBERS = ("loss", "accuracy", "miou", "top5", "mean_class_accuracy", "mean_dice", "boundary_f1",
            "f1", "subset_accuracy", "label_accuracy", "balanced_accuracy", "precision", "recall",
            "auroc", "average_precision", "brier",
            "learning_rate", "grad_norm", "param_norm", "images_per_second")  # fmt: skip
_POINTS = 1000  # of one curve, at most
_MATRIX_CLASSES = 60
_PAIRS = 12


def page_data(
    records: list[RunRecord], groups: list[list[int]], labels: list[str]
) -> dict[str, Any]:
    """Returns JSON values; numbers are rounded to five digits."""
    first = {"loss", "accuracy", "learning_rate", "grad_norm", *(r.metric for r in records)}
    return {
        "numbers": [[name, metric_words(name) + " (%)" * (name in SHARES)] for name in _NUMBERS],
        "shown": sorted(first),
        "groups": [
            {"label": labels[number], "runs": group, "color": color_of(number)}
            for number, group in enumerate(groups)
        ],
        "runs": [
            {"name": record.name, "seed": record.config.seed, "curves": _curves(record.rows),
             "confusion": _confusion(record)}
            for record in records
        ],
        "shares": sorted(SHARES & set(_NUMBERS)),
    }  # fmt: skip


def class_rows(record: RunRecord) -> list[dict[str, Any]]:
    """Returns each class's scores on the test split and its number of examples or pixels."""
    if record.confusion is None or record.info is None:
        return []
    scores = overlap_scores(record.confusion)
    counts = np.asarray(record.confusion, np.int64).sum(axis=1)
    columns = {"recall": "accuracy", "precision": "precision"}
    if record.config.task == "segmentation":
        columns |= {"IoU": "iou", "Dice": "dice"}
    else:
        columns["F1"] = "dice"  # the same number by its other name
    return [
        {"class": name, "count": int(counts[i]),
         "scores": {shown: _plain(scores[key][i]) for shown, key in columns.items()}}
        for i, name in enumerate(record.info.class_names)
    ]  # fmt: skip


def _curves(rows: list[Row]) -> dict[str, dict[str, list[Any]]]:
    curves: dict[str, dict[str, list[Any]]] = {}
    for split in ("train", "validation", "test"):
        own = [row for row in rows if row["split"] == split]
        names = [name for name in _NUMBERS if any(row.get(name) is not None for row in own)]
        if names:
            columns = {name: [row.get(name) for row in own] for name in ("step", "epoch", *names)}
            curves[split] = _thinned(columns)
    return curves


def _thinned(columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Averages neighbours until there are few enough points."""
    width = -(-len(columns["step"]) // _POINTS)
    thinned = {}
    for name, values in columns.items():
        parts = [values[i : i + width] for i in range(0, len(values), width)]
        known = ([x for x in part if x is not None] for part in parts)
        thinned[name] = [_plain(sum(part) / len(part)) if part else None for part in known]
    return thinned


def _confusion(record: RunRecord) -> dict[str, Any] | None:
    if record.confusion is None or record.info is None:
        return None
    names = list(record.info.class_names)
    few = len(names) <= _MATRIX_CLASSES
    return {
        "names": names,
        "counts": record.confusion.tolist() if few else None,
        "pairs": [[names[i], names[j], count]
                  for i, j, count in most_confused(record.confusion, _PAIRS)],
        "pixels": record.config.task == "segmentation",
    }  # fmt: skip


def _plain(value: float) -> float | int | None:
    value = float(value)
    if not math.isfinite(value):
        return None
    return int(value) if value.is_integer() and abs(value) < 2**53 else float(f"{value:.5g}")
