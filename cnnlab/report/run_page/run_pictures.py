"""Draws the pictures of a run's folder: curves and, once it is complete, class results."""

from pathlib import Path

import numpy as np

from cnnlab.report.figures.run import plot_class_scores, plot_confusion_matrix, plot_curves
from cnnlab.tasks.segmentation import overlap_scores
from cnnlab.train.callbacks.json_lines import read_rows
from cnnlab.train.runtime.run_mirror import written_run
from cnnlab.train.runtime.workdir import Workdir
from cnnlab.visible import visible


def draw_run(workdir: str | Path) -> list[Path]:
    """Draws the pictures for which a run's folder has data; returns their paths.

    `curves.png` and, once the run is complete, `confusion_matrix.png`; of segmentation also
    `class_scores.png` and `predictions.png`, which training has drawn.
    """
    with written_run(workdir) as path:
        return _draw(Workdir(path))


def _draw(folder: Workdir) -> list[Path]:
    config = folder.config()
    title = visible(f"{config.model.name} on {config.data.name}")
    pictures = []
    rows = read_rows(folder.metrics)
    if len({row["step"] for row in rows}) > 1:  # a single point, a baseline's, is no curve
        pictures.append(folder.path / "curves.png")
        plot_curves(rows, title=title).savefig(pictures[-1])
    if folder.confusion.is_file():
        names = folder.dataset_info().class_names
        confusion = folder.confusion_matrix(len(names))
        pixels = config.task == "segmentation"
        accuracy = 100 * np.trace(confusion) / max(confusion.sum(), 1)
        what = "pixel accuracy" if pixels else "accuracy"
        pictures.append(folder.path / "confusion_matrix.png")
        plot_confusion_matrix(
            confusion, names, title=f"{title}: test {what} {accuracy:.2f} %", percent=pixels
        ).savefig(pictures[-1])
        if pixels:
            scores = overlap_scores(confusion)["iou"]
            pictures.append(folder.path / "class_scores.png")
            plot_class_scores(
                dict(zip(names, scores, strict=True)), title=f"{title}: test"
            ).savefig(pictures[-1])
    if folder.predictions.is_file():
        pictures.append(folder.predictions)
    return pictures
