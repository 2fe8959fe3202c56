"""Draws what a run's folder shows: curves and, once it is complete, the confusion matrix."""

from pathlib import Path

import numpy as np

from cnnlab.report.figures import plot_confusion_matrix, plot_curves
from cnnlab.train.records import read_rows
from cnnlab.train.workdir import Workdir


def draw_run(workdir: str | Path) -> list[Path]:
    """Writes curves.png and confusion_matrix.png into a run's folder; returns those written."""
    folder = Workdir(workdir)
    config = folder.config()
    title = f"{config.model.name} on {config.data.name}"
    pictures = []
    rows = read_rows(folder.metrics)
    if len({row["step"] for row in rows}) > 1:  # a single point, a baseline's, is no curve
        pictures.append(folder.path / "curves.png")
        plot_curves(rows, title=title).savefig(pictures[-1])
    if folder.confusion.is_file():
        pictures.append(folder.path / "confusion_matrix.png")
        names = folder.dataset_info().class_names
        confusion = np.load(folder.confusion)
        accuracy = np.trace(confusion) / confusion.sum()
        plot_confusion_matrix(
            confusion, names, title=f"{title}: test accuracy {100 * accuracy:.2f} %"
        ).savefig(pictures[-1])
    return pictures
