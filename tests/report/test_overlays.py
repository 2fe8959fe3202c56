"""Pictures of label maps: colours that can be told apart, tints, edges, and files read back."""

import numpy as np
import pytest
from PIL import Image
from skimage.color import rgb2lab

from cnnlab.report.figures.overlays import panel
from cnnlab.report.label_pixels import background_class, overlay, save_indexed_png
from cnnlab.report.palette import IGNORE, make_palette
from cnnlab.report.style import RED

NAMES = ("background", "circle", "square")


def scene():
    """A gray image with a square of class 2 on the background."""
    image = np.full((12, 16, 1), 100, np.uint8)
    labels = np.zeros((12, 16), np.uint8)
    labels[2:8, 3:9] = 2
    return image, labels


def test_palette_has_a_colour_of_its_own_for_every_class():
    for background in (0, 3, 254, None):
        palette = make_palette(background)
        assert palette.shape == (256, 3)
        assert palette.dtype == np.uint8
        assert len(np.unique(palette, axis=0)) == 256
        black = np.flatnonzero((palette == 0).all(axis=1)).tolist()
        assert black == ([] if background is None else [background])
    np.testing.assert_array_equal(make_palette(None)[:254], make_palette(0)[1:255])
    np.testing.assert_array_equal(make_palette(3)[:3], make_palette(0)[1:4])


def test_first_colours_are_far_apart():
    """In CIELAB, where 2.3 is a difference that is just noticed."""
    lab = rgb2lab(make_palette()[[*range(21), IGNORE]] / 255.0)
    distances = np.linalg.norm(lab[:, None] - lab, axis=-1)
    assert distances[~np.eye(22, dtype=bool)].min() > 25


def test_overlay_by_hand():
    image, labels = scene()
    palette = make_palette()
    drawn = overlay(image, labels, palette, opacity=0.5)
    np.testing.assert_array_equal(drawn[labels == 0], 100)  # transparent, and without a line
    np.testing.assert_array_equal(drawn[2, 3:9], palette[[2] * 6])  # the line, opaque
    inside = np.round((100 + palette[2].astype(float)) / 2)
    np.testing.assert_allclose(drawn[3:7, 4:8], np.broadcast_to(inside, (4, 4, 3)), atol=1)
    everywhere = overlay(image, labels, palette, background=None, opacity=1.0)
    np.testing.assert_array_equal(everywhere, palette[labels])


def test_background_by_name():
    assert background_class(NAMES) == 0
    assert background_class(("cat", "background")) == 1
    assert background_class(("cat", "dog")) is None
    assert background_class(("0", "1", "2")) == 0  # masks without classes.txt
    assert background_class(("1", "0")) is None


@pytest.mark.parametrize("channels", [1, 3])
def test_panel(channels):
    """Wrong pixels are red, those that are ignored are not wrong; one row for each example."""
    red = np.array([int(RED[i : i + 2], 16) for i in (1, 3, 5)])
    image, labels = scene()
    image = image.repeat(channels, axis=-1)

    def reds(truth, prediction):
        drawn = panel([image], [truth], [prediction], NAMES)
        assert drawn.dtype == np.uint8
        right = drawn[:, 3 * drawn.shape[1] // 4 :]
        return (np.abs(right.astype(int) - red).max(axis=-1) < 3).sum()

    wrong = labels.copy()
    wrong[8:] = 1
    ignored = labels.copy()
    ignored[8:] = IGNORE
    assert reds(labels, labels) == 0
    assert reds(ignored, wrong) == 0
    assert reds(labels, wrong) > 1000
    one, three = (panel([image] * n, [labels] * n, [wrong] * n, NAMES) for n in (1, 3))
    assert three.shape[1] == one.shape[1]
    assert three.shape[0] > 2 * one.shape[0]


def test_panel_of_images_of_many_shapes_and_classes():
    shapes = [(20, 30), (40, 10)]
    images = [np.zeros((*shape, 3), np.uint8) for shape in shapes]
    labels = [np.arange(np.prod(shape), dtype=np.int32).reshape(shape) % 60 for shape in shapes]
    labels = [one.astype(np.uint8) for one in labels]
    names = [f"a class with the number {i}" for i in range(60)]
    assert panel(images, labels, labels, names).shape[1] > 800


def test_indexed_png_is_read_back(tmp_path):
    labels = np.arange(256, dtype=np.uint8).reshape(8, 32)
    palette = make_palette()
    save_indexed_png(tmp_path / "labels.png", labels, palette)
    with Image.open(tmp_path / "labels.png") as image:
        assert image.mode == "P"
        np.testing.assert_array_equal(np.asarray(image), labels)
        np.testing.assert_array_equal(np.asarray(image.convert("RGB")), palette[labels])
    save_indexed_png(tmp_path / "few.png", labels[:2] % 2, palette)
    with Image.open(tmp_path / "few.png") as image:
        np.testing.assert_array_equal(np.asarray(image), labels[:2] % 2)
