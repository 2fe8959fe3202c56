"""Label maps of images of any size, by a run whose network is a plain function of pixels."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from cnnlab.data import DatasetInfo
from cnnlab.data.augment import AugmentConfig
from cnnlab.errors import UserError
from cnnlab.inference.label_maps import _resized, segment_image
from cnnlab.inference.tiling import class_map


@dataclasses.dataclass
class Brightness:
    """Takes dark, gray and bright pixels for three classes; remembers the shapes it was given."""

    image_shape: tuple = (16, 24, 1)
    resize: str = "none"
    stride: int = 4
    border: int = 0
    augment: AugmentConfig = dataclasses.field(default_factory=AugmentConfig)

    def __post_init__(self):
        self.info = DatasetInfo(
            "plain", ("a", "b", "c"), self.image_shape, {}, (0.5,), (0.5,), resize=self.resize
        )
        self.config = SimpleNamespace(model=SimpleNamespace(name="plain"), augment=self.augment)
        self.shapes = []

    def input_size(self, size):
        """The next that is a multiple of the stride and 2 more, as of a network without padding."""
        if not self.border:
            return tuple(size)
        return tuple(-(-(n + 2 * self.border - 2) // self.stride) * self.stride + 2 for n in size)

    def probabilities(self, images):
        images = np.asarray(images)
        assert images.dtype == np.uint8
        self.shapes.append(images.shape)
        middle = [slice(self.border, size - self.border) for size in images.shape[1:3]]
        gray = images.mean(axis=-1)[:, *middle]
        scores = -np.abs(gray[..., None] - np.array([0, 128, 255])) / 20
        exps = np.exp(scores - scores.max(axis=-1, keepdims=True))
        return (exps / exps.sum(axis=-1, keepdims=True)).astype(np.float32)


def stripes(height, width, channels=1):
    """Three wide columns, of class 0, 1 and 2."""
    labels = np.broadcast_to(np.arange(width) * 3 // width, (height, width)).astype(np.uint8)
    image = np.array([0, 128, 255], np.uint8)[labels]
    return np.repeat(image[:, :, None], channels, axis=-1), labels


def test_whole_image_keeps_its_shape():
    """It is scaled as in training; the map has the image's size, with edges in place."""
    run = Brightness(image_shape=(48, 48, 1), resize="pad")
    image, labels = stripes(160, 480)
    found = segment_image(run, image)
    assert run.shapes == [(1, 16, 48, 1)]
    assert found.shape == (160, 480)
    assert found.dtype == np.uint8
    assert (found != labels).mean() < 0.02
    assert len(np.unique(found[:, 40:120])) == len(np.unique(found[:, 360:440])) == 1


@pytest.mark.parametrize("size", [(8, 8), (16, 24), (160, 480)])
def test_where_training_did_not_scale_neither_does_prediction(size):
    run = Brightness()
    image, labels = stripes(*size)
    np.testing.assert_array_equal(segment_image(run, image), labels)
    assert run.shapes == [(1, *size, 1)]
    padded = Brightness(image_shape=(16, 16, 1), resize="pad")
    padded.info = dataclasses.replace(padded.info, file_sizes=((16, 16), (16, 16)))
    segment_image(padded, image)  # its files had that size already
    assert padded.shapes == [(1, *size, 1)]


def test_large_images_come_in_tiles():
    run = Brightness(stride=48)
    image, labels = stripes(1000, 1100)
    np.testing.assert_array_equal(segment_image(run, image), labels)
    assert {shape[1:] for shape in run.shapes} == {(528, 528, 1)}


@pytest.mark.parametrize(("size", "given"), [((8, 8), (24, 24)), ((16, 24), (16, 24))])
def test_small_images(size, given):
    run = Brightness(image_shape=(24, 24, 3), resize="pad")
    image, labels = stripes(*size, channels=3)
    assert (segment_image(run, image) == labels).mean() > 0.85
    assert run.shapes == [(1, *given, 3)]


def test_tiles_see_the_image_at_its_full_size():
    run = Brightness()
    image = np.random.default_rng(0).integers(0, 256, (100, 150, 1), np.uint8)
    exact = run.probabilities(image[None])[0].argmax(-1)
    run.shapes.clear()
    for overlap in (None, 0, 24):
        np.testing.assert_array_equal(segment_image(run, image, tile=32, overlap=overlap), exact)
    assert {shape[1:] for shape in run.shapes} == {(32, 32, 1)}
    assert segment_image(run, image, tile=4).shape == (100, 150)  # no room for an overlap


def test_tta_uses_the_flips_of_training():
    image, labels = stripes(16, 48)
    for augment, flips in (
        ({}, 1),
        ({"flip": True}, 2),
        ({"flip": True, "flip_vertical": True}, 4),
    ):
        run = Brightness(augment=AugmentConfig(**augment))
        assert (segment_image(run, image, tta=True) == labels).mean() > 0.9
        assert [shape[1:3] for shape in run.shapes] == [
            size for size in ((12, 36), (16, 48), (20, 60)) for _ in range(flips)
        ]
    assert (segment_image(run, image, tile=16, tta=True) == labels).mean() > 0.9


def test_resizing_equals_pillow_and_needs_bands_only():
    values = np.random.default_rng(0).random((9, 13, 3)).astype(np.float32)
    bands = list(_resized(values, (150, 77)))
    assert [len(band) for band in bands] == [64, 64, 22]
    for channel in range(3):
        resized = Image.fromarray(values[:, :, channel]).resize(
            (77, 150), Image.Resampling.BILINEAR
        )
        np.testing.assert_allclose(np.concatenate(bands)[..., channel], resized, atol=1e-5)
    np.testing.assert_array_equal(class_map(_resized(values, (9, 13)), (9, 13)), values.argmax(-1))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"overlap": 8}, "overlap=8 is the overlap of tiles"),
        ({"tile": 30}, "tile of 30 pixels must be a multiple of 4"),
        ({"tile": 32, "overlap": 30}, "overlap of 30 pixels must be from 0 to 28"),
    ],
)
def test_mistakes(options, sentence):
    with pytest.raises(UserError, match=sentence):
        segment_image(Brightness(), stripes(64, 64)[0], **options)


def test_an_image_with_other_channels():
    with pytest.raises(UserError, match=r"is \[height, width, 1\], got shape \(8, 8, 3\)"):
        segment_image(Brightness(), stripes(8, 8, channels=3)[0])


@pytest.mark.parametrize("options", [{}, {"tile": 16}, {"tile": 16, "overlap": 0}, {"tta": True}])
def test_a_network_without_padding_predicts_every_pixel(options):
    """The same map as with padding, at the image's edges too."""
    image = np.random.default_rng(0).integers(0, 256, (24, 37, 1), np.uint8)
    padded, bare = (Brightness(image_shape=(24, 24, 1), border=border) for border in (0, 5))
    np.testing.assert_array_equal(
        segment_image(bare, image, **options), segment_image(padded, image, **options)
    )
    assert {shape[1] % 4 for shape in bare.shapes} == {2}
