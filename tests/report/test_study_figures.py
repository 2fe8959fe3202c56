"""Pictures of a study: drawn from trials, with what they must show; nothing where nothing is."""

import collections
import warnings

import numpy as np
import pytest
from matplotlib.colors import to_hex

from cnnlab.report.study_page.figures import (
    plot_history,
    plot_importances,
    plot_learning_curves,
    plot_parallel,
    plot_slices,
    plot_timeline,
)
from cnnlab.report.style import STATE_COLORS
from tests.report.study_records import awkward, mixed, study, trial

AWKWARD = awkward()
NOT_DRAWN = {
    plot_history: {"empty", "running"},
    plot_learning_curves: AWKWARD.keys() - {"pruned"},
    plot_timeline: AWKWARD.keys() - {"one", "running"},
    plot_slices: AWKWARD.keys() - {"a loss that diverged"},
    plot_parallel: AWKWARD.keys() - {"a loss that diverged"},
}


@pytest.mark.parametrize("plot", NOT_DRAWN)
def test_what_cannot_be_drawn_is_not(plot):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # such as that a legend has nothing to name
        figures = {name: plot(record) for name, record in AWKWARD.items()}
        for figure in filter(None, figures.values()):
            figure.draw_without_rendering()
    assert {name for name, figure in figures.items() if figure is None} == NOT_DRAWN[plot]


def test_history():
    figure = plot_history(mixed())
    axis = figure.axes[0]
    dots = {c.get_label(): c.get_offsets() for c in axis.collections}
    assert len(dots["complete"]) == 9
    np.testing.assert_allclose(dots["pruned, worse than shown"][:, 0], [3])  # 61 %
    np.testing.assert_allclose(dots["running"], [[11, 93.0]])
    np.testing.assert_allclose(dots["failed"][:, 0], [7])
    best = next(line for line in axis.lines if line.get_label() == "best so far")
    np.testing.assert_allclose(best.get_ydata()[-1], 92.0)
    assert (np.diff(best.get_ydata()) >= 0).all()
    figure.canvas.draw()


def test_history_shows_intervals_of_repeats_and_outliers_at_the_edge():
    trials = [trial(i, value=0.5 + 0.01 * i, repeats=(0.5, 0.5 + 0.02 * i)) for i in range(6)]
    axis = plot_history(study(*trials, trial(6, value=-9.0))).axes[0]
    bars = [line for line in axis.lines if line.get_label().startswith("_")]
    assert len(bars) == 6
    low, _ = axis.get_ylim()
    edge = next(c for c in axis.collections if c.get_label() == "complete, worse than shown")
    seen = edge.get_offset_transform().transform(edge.get_offsets())
    assert low < axis.transData.inverted().transform(seen)[0][1] < low + 10


def test_importances():
    shares = {"optimizer.learning_rate": 0.7, "model.name": 0.298, "seed": 0.002}
    scales = mixed().scales | {"seed": mixed().scales["model.name"]}
    axis = plot_importances(study(scales=scales), shares).axes[0]
    np.testing.assert_allclose([bar.get_width() for bar in axis.patches], [70.0, 29.8, 0.2])
    assert [text.get_text() for text in axis.texts] == ["70 %", "30 %", "< 1 %"]
    assert [t.get_text() for t in axis.get_yticklabels()] == ["learning_rate", "model.name", "seed"]
    assert plot_importances(mixed(), {}) is None


def test_learning_curves_have_the_best_in_bold():
    axis = plot_learning_curves(mixed()).axes[0]
    best = next(line for line in axis.lines if line.get_label() == "best, trial 10")
    np.testing.assert_allclose(best.get_ydata()[[0, -1]], [60.0, 92.0])
    assert best.get_linewidth() == max(line.get_linewidth() for line in axis.lines)
    lines = collections.Counter(line.get_label() for line in axis.lines if line is not best)
    assert lines == {"pruned": 1, "failed": 1, "running": 1, "complete": 8}


def test_slices():
    figure = plot_slices(mixed())
    rate, name, dropout = figure.axes
    assert rate.get_xscale() == "log"
    assert [t.get_text() for t in name.get_xticklabels()] == ["lenet", "mlp"]
    means = [line.get_ydata()[0] for line in name.lines]
    values = {0: [], 1: []}
    for t in mixed().with_state("complete"):
        values[t.params["model.name"] == "mlp"].append(100 * t.value)
    np.testing.assert_allclose(means, [np.mean(values[0]), np.mean(values[1])])
    complete = {c.get_label(): len(c.get_offsets()) for c in dropout.collections}
    assert complete == {"complete": 3, "pruned, worse than shown": 1}  # the best is a LeNet
    figure.canvas.draw()


def test_parallel_has_a_line_for_each_config():
    axis = plot_parallel(mixed()).axes[0]
    assert len(axis.patches) == 9
    assert to_hex(axis.patches[-1].get_edgecolor()) == STATE_COLORS["best"].lower()
    texts = {text.get_text() for text in axis.texts}
    assert {"learning_rate", "unset", "lenet", "validation accuracy (%)"} <= texts


def test_timeline_has_a_bar_for_each_trial():
    axis = plot_timeline(mixed()).axes[0]
    assert sum(bar.get_width() > 0 for bar in axis.patches) == 12
