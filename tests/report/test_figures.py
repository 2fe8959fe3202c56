"""Figures: drawn from numbers, with what they must show."""

import numpy as np
import pytest

from cnnlab.report.figures.run import (
    plot_class_scores,
    plot_confusion_matrix,
    plot_curves,
    plot_learning_rates,
)


def test_curves_show_every_split():
    rows = [
        {"step": s, "epoch": s / 10, "split": "train", "loss": 1 / s, "accuracy": 0.5,
         "learning_rate": 0.1, "grad_norm": 1.0} for s in range(1, 20)
    ]  # fmt: skip
    rows += [{"step": 10, "epoch": 1.0, "split": "validation", "loss": 0.5, "accuracy": 0.75},
             {"step": 19, "epoch": 1.9, "split": "test", "loss": None,
              "accuracy": 0.5}]  # fmt: skip
    figure = plot_curves(rows, title="a run")
    loss, accuracy, rate, norm = figure.axes
    assert [line.get_label() for line in loss.lines] == ["train", "validation"]  # None is left out
    assert [line.get_label() for line in accuracy.lines] == ["train", "validation", "test"]
    np.testing.assert_allclose(accuracy.lines[1].get_ydata(), [75.0])
    assert len(rate.lines) == len(norm.lines) == 1


@pytest.mark.parametrize("classes", [2, 10, 30, 100])
def test_confusion_matrix(classes):
    confusion = np.arange(classes**2).reshape(classes, classes)
    confusion[1] = 0  # a class without examples
    figure = plot_confusion_matrix(confusion, [f"class {i}" for i in range(classes)], title="t")
    image = figure.axes[0].images[0].get_array()
    np.testing.assert_allclose(image.sum(axis=1)[2:], 1.0)
    figure.canvas.draw()
    texts = len(figure.axes[0].texts)
    assert texts == (np.count_nonzero(confusion) if classes <= 20 else 0)


def test_curves_of_segmentation():
    rows = [{"step": s, "epoch": 1.0 * s, "split": "validation", "loss": 1.0, "accuracy": 0.9,
             "miou": 0.1 * s} for s in (1, 2, 3)]  # fmt: skip
    accuracy, miou = plot_curves(rows).axes[1].lines
    np.testing.assert_allclose(accuracy.get_ydata(), [90.0] * 3)
    np.testing.assert_allclose(miou.get_ydata(), [10.0, 20.0, 30.0])
    assert miou.get_linestyle() == "--"


def test_confusion_matrix_of_pixels_is_in_percent():
    confusion = np.array([[10**9, 10**9], [0, 123456789]])
    axis = plot_confusion_matrix(confusion, ["a", "b"], percent=True).axes[0]
    assert [text.get_text() for text in axis.texts] == ["50.0", "50.0", "100.0"]


def test_class_scores():
    scores = {"sky": 0.5, "tree": 1.0, "none": None, "nan": np.nan}
    figure = plot_class_scores(scores, title="t")
    axis = figure.axes[0]
    np.testing.assert_allclose([bar.get_width() for bar in axis.patches], [50, 100, 0, 0])
    assert [text.get_text() for text in axis.texts] == ["50.0", "100.0", "none", "none"]
    np.testing.assert_allclose(axis.lines[0].get_xdata(), 75.0)
    assert all(text.get_position()[0] > 100 for text in axis.texts)  # no line crosses them
    figure.canvas.draw()
    plot_class_scores({"none": None}).canvas.draw()


def test_learning_rates():
    rates = np.geomspace(1e-5, 1, 30)
    losses = np.linspace(2.3, 0.5, 30)
    figure = plot_learning_rates(rates, np.stack([losses, losses + 0.1]), losses, 0.03)
    assert figure.axes[0].get_xscale() == "log"
    assert figure.axes[0].lines[3].get_xdata()[0] == 0.03
