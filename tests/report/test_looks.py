"""Figures that look into networks: drawn from arrays, with what they must show."""

import io

import numpy as np
import pytest
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from PIL import Image

from cnnlab.analysis.curves import spread
from cnnlab.analysis.evaluation.calibration import reliability
from cnnlab.analysis.evaluation.robustness import SeverityCurve
from cnnlab.analysis.filters import Filters
from cnnlab.analysis.statistics import LayerStatistics
from cnnlab.models import create_model
from cnnlab.report.figures.architecture import draw_network
from cnnlab.report.figures.embedding import plot_embedding
from cnnlab.report.figures.examples import plot_examples
from cnnlab.report.figures.feature_maps import plot_feature_maps, plot_filters
from cnnlab.report.figures.heat_maps import plot_attributions, plot_heat_maps
from cnnlab.report.figures.layer_statistics import plot_layer_statistics
from cnnlab.report.figures.picture_grid import Picture, plot_pictures
from cnnlab.report.figures.reliability import plot_reliability
from cnnlab.report.figures.robustness import plot_robustness
from cnnlab.report.figures.run_curves import plot_run_curves
from cnnlab.report.figures.shift_map import plot_shift_map
from cnnlab.report.pixels import (
    filter_images,
    heat_overlay,
    magnify,
    map_image,
    signed_image,
)
from cnnlab.report.style import GREEN, RED, add_title

RNG = np.random.default_rng(0)


def drawn(figure):
    """The figure as a file has it."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return Image.open(stream)


def pictures(figure):
    return [image.get_array() for axis in figure.axes for image in axis.images]


def test_signed_image():
    image = signed_image(np.array([[-1.0, 0.0, 1.0, 5.0]]), limit=1.0)[0].astype(int)
    assert image[0, 2] > image[0, 0]  # negative is blue
    assert image[2, 0] > image[2, 2]  # positive is red
    assert image[1].min() > 240  # nothing is white
    np.testing.assert_array_equal(image[2], image[3])
    assert signed_image(np.zeros((2, 2))).min() > 240


def test_filter_images():
    colour = np.zeros((1, 1, 2, 3))
    colour[0, 0, 0] = [2.0, -2.0, 0.0]
    (image,) = filter_images(colour)
    np.testing.assert_array_equal(image[0], [[255, 0, 128], [128, 128, 128]])
    assert len(filter_images(RNG.normal(size=(5, 3, 3, 64)))) == 5


def test_heat_overlay_and_map_image():
    image = np.full((1, 2, 1), 100, np.uint8)
    cold, hot = heat_overlay(image, np.array([[0.0, 1.0]]))[0].astype(int)
    assert hot[0] > hot[2]
    assert cold[2] > cold[1]
    dark, bright = map_image(np.array([[3.0, 7.0]]))[0].astype(int)
    assert bright.sum() > dark.sum()
    assert map_image(np.ones((2, 2))).shape == (2, 2, 3)


def test_magnify():
    assert magnify(np.zeros((3, 4, 3), np.uint8), 10).shape == (12, 16, 3)
    assert magnify(np.zeros((30, 40, 3), np.uint8), 10).shape == (30, 40, 3)


def test_grid_of_pictures():
    rows = [[Picture(np.zeros((2, 2, 3), np.uint8), "good", True)] * 3,
            [Picture(np.zeros((2, 2, 3), np.uint8), "bad\nindeed", False)]]  # fmt: skip
    figure = plot_pictures(rows, title="t", row_labels=["a", "b"])
    assert len(pictures(figure)) == 4
    assert [axis.xaxis.label.get_color() for axis in figure.axes[:4]] == [GREEN] * 3 + [RED]
    assert drawn(figure).size[0] > 300


def test_pictures_have_one_size_and_captions_are_not_cut():
    """Whatever stands below or beside them; long words go on in a second line."""
    pixels = np.zeros((4, 4, 3), np.uint8)
    rows = [[Picture(pixels)], [Picture(pixels, "a caption of many words that has no end", True)]]
    title = "model on folder:../own/flat: " + 6 * "Grad-CAM "
    scale = ScalarMappable(Normalize(0.0, 0.5), "turbo")
    figure = plot_pictures(rows, title=title, scale=scale, scale_label="share")
    above, below, bar = figure.axes
    assert above.get_position().size == pytest.approx(below.get_position().size)
    figure.draw_without_rendering()
    assert max(map(len, below.get_xlabel().split("\n"))) <= 20
    assert bar.get_ylim() == (0.0, 0.5)
    title = figure._suptitle.get_window_extent()
    assert title.x1 < figure.bbox.x1
    assert title.y0 > above.get_window_extent().y1


def test_long_titles_go_on_in_a_second_line():
    figure = Figure(figsize=(4, 3))
    add_title(
        figure, "resnet18 on folder:../a/rather/long/path/to/some/images: Grad-CAM of a class"
    )
    figure.draw_without_rendering()
    assert "\n" in figure.get_suptitle()
    assert figure._suptitle.get_window_extent().x1 < figure.bbox.x1


def test_filters_and_feature_maps():
    figure = plot_filters(Filters("conv", RNG.normal(size=(20, 5, 5, 3))), title="t")
    assert len(pictures(figure)) == 20
    assert len(pictures(plot_filters(Filters("conv", RNG.normal(size=(300, 3, 3, 1)))))) == 128
    maps = {"stride2": RNG.normal(size=(8, 8, 6)), "stride32": RNG.normal(size=(1, 1, 30))}
    figure = plot_feature_maps(np.zeros((16, 16, 1), np.uint8), maps, channels=4, title="t")
    shapes = [array.shape[:2] for array in pictures(figure)]
    assert shapes == [(16, 16), *[(8, 8)] * 4, (5, 6)]
    drawn(figure)


def test_heat_maps_and_attributions():
    images = RNG.integers(0, 255, (10, 8, 8, 1)).astype(np.uint8)
    captions = [f"class {i}" for i in range(10)]
    for figure in (plot_heat_maps(images, RNG.uniform(size=(10, 8, 8)), captions, title="t"),
                   plot_attributions(images, RNG.normal(size=(10, 8, 8)), captions)):  # fmt: skip
        assert len(pictures(figure)) == 20
        labels = [axis.get_xlabel() for axis in figure.axes if axis.get_xlabel()]
        assert labels == captions
        drawn(figure)


def test_heat_has_one_scale_for_all_images():
    images = np.full((2, 4, 4, 1), 100, np.uint8)
    heats = np.stack([np.zeros((4, 4)), np.full((4, 4), 0.2)])
    heats[0, 0, 0] = 0.002
    figure = plot_heat_maps(images, heats, ["a", "b"], limit=0.2, label="fall", title="t")
    faint, full = pictures(figure)[2:4]
    assert faint.astype(int).max() < full.astype(int).max()
    bar = figure.axes[-1]
    assert bar.get_ylim() == (0.0, 0.2) and bar.get_ylabel() == "fall"


def test_examples():
    images = [np.zeros((8, 8, 3), np.uint8)] * 2
    figure = plot_examples(images, ["cat", "dog"], ["dog", "dog"], [0.9, 0.8])
    assert [axis.get_xlabel() for axis in figure.axes[:2]] == [
        "cat, taken for\ndog 90.0 %",
        "dog 80.0 %",
    ]


def test_layer_statistics():
    column = np.array([1.0, 0.0, 1e-6])
    quantiles = np.sort(RNG.normal(size=(3, 5)), axis=1)
    figure = plot_layer_statistics(
        LayerStatistics(("a", "b", "c"), column, column, quantiles, column, column, column, column)
    )
    outputs, off, gradients = figure.axes
    assert [label.get_text() for label in outputs.get_yticklabels()] == ["a", "b", "c"]
    assert [bar.get_width() for bar in off.patches] == pytest.approx([100.0, 0.0, 1e-4])
    assert len(gradients.lines) == 2
    drawn(figure)


def test_embedding():
    labels = np.array([0, 0, 1, 1, 1])
    figure = plot_embedding(RNG.normal(size=(5, 2)), labels, ["cat", "dog"], title="t")
    axis = figure.axes[0]
    assert [text.get_text() for text in axis.texts] == ["cat", "dog"]
    assert not len(axis.get_xticks())
    drawn(figure)
    wrong = np.array([False, True, False, False, True])
    marked = plot_embedding(RNG.normal(size=(5, 2)), labels, ["cat", "dog"], wrong=wrong)
    dots, rings = marked.axes[0].collections
    assert (len(dots.get_offsets()), len(rings.get_offsets())) == (5, 2)
    assert rings.get_label() == "taken for another class (2)"


def test_reliability():
    found = reliability(np.array([[0.9, 0.1], [0.6, 0.4]]), np.array([0, 1]), bins=10)
    figure = plot_reliability({"before": found, "after": found})
    assert [axis.get_title(loc="left") for axis in figure.axes[:2]] == ["before", "after"]
    heights = sorted(round(bar.get_height(), 6) for bar in figure.axes[0].patches)
    assert heights == pytest.approx([-0.1, 0.0, 0.6, 1.0])
    drawn(figure)


def test_robustness():
    curve = SeverityCurve(np.array([0.0, 0.3, 0.9]), np.array([0.9, 0.5, 0.3]))
    strip = [np.zeros((4, 4, 1), np.uint8)] * 3
    figure = plot_robustness({"blur": curve, "noise": curve}, {"blur": strip, "noise": strip},
                             metric="accuracy")  # fmt: skip
    lines = [axis.lines[1] for axis in figure.axes if axis.lines]
    assert len(lines) == 2
    np.testing.assert_allclose(lines[0].get_xdata(), [0.0, 0.3, 0.9])  # to scale
    np.testing.assert_allclose(lines[0].get_ydata(), [90, 50, 30])
    assert len(pictures(figure)) == 6
    drawn(figure)


def test_shift_map():
    figure = plot_shift_map(np.array([[0.5, 1, 0], [0, 1, 0], [0, 0, 0.25]]), title="t")
    texts = {text.get_position(): text.get_text() for text in figure.axes[0].texts}
    assert texts[(-1, -1)] == "50"
    assert texts[(1, 1)] == "25"
    drawn(figure)


def test_run_curves():
    curves = [(np.array([1.0, 2.0]), np.array([y, 0.1])) for y in (0.5, 0.7)]
    panels = {"validation accuracy": {"a": spread(curves), "b": spread(curves[:1])},
              "train loss": {"a": spread(curves)}}  # fmt: skip
    figure = plot_run_curves(panels)
    accuracy, loss = figure.axes[:2]
    np.testing.assert_allclose(accuracy.lines[0].get_ydata(), [60.0, 10.0])
    assert [line.get_label() for line in accuracy.lines] == ["a (2 runs)", "b"]
    assert len(accuracy.collections) == 1  # the band of a
    assert loss.get_yscale() == "log"
    drawn(figure)


def test_network_has_poolings_and_skips_and_whole_names():
    model = create_model("unet", num_classes=2, width=4, levels=3)
    figure = draw_network(model, (32, 32, 1), title="t")
    names = [label.get_text() for label in figure.axes[-1].get_xticklabels()]
    assert len(set(names) - {"max pool"}) == len(names) - 2
    assert {"backbone/level1", "head/level1", "max pool", "level3", "logits"} <= set(names)
    skips = [patch for patch in figure.axes[0].patches if isinstance(patch, PathPatch)]
    assert len(skips) == 2
    drawn(figure)
