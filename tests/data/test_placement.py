"""Images come to their size as Pillow, torchvision and timm bring them there."""

import math

import numpy as np
import pytest
from PIL import Image
from scipy.stats import ks_2samp

from cnnlab.config import AugmentConfig
from cnnlab.data.geometry.crops import TrainCrop, crop_rng, train_crop
from cnnlab.data.geometry.form import Wanted, choose_form
from cnnlab.data.geometry.pixels import place_labels, place_pixels
from cnnlab.data.geometry.placement import Geometry

FILTERS = {name: getattr(Image.Resampling, name.upper()) for name in
           ("bicubic", "bilinear", "lanczos", "nearest")}  # fmt: skip
SIZES = [(30, 40), (40, 30), (57, 31), (33, 90), (36, 36)]


def image(size, channels=3, dtype=np.uint8):
    """Smooth and colored, so that a shift of half a pixel shows."""
    y, x = np.mgrid[: size[0], : size[1]]
    waves = [np.sin(y / (3 + c)) + np.cos(x / (4 + c)) for c in range(channels)]
    pixels = (np.stack(waves, -1) + 2) / 4
    return (pixels * 255).astype(dtype) if dtype == np.uint8 else (pixels * 900).astype(dtype)


def placed(pixels, frame, geometry):
    placement = geometry.place(pixels.shape[:2], frame)
    return place_pixels(pixels, placement, pixels.shape[2], geometry.interpolation)


def by_pillow(pixels, size, interpolation):
    return np.asarray(Image.fromarray(pixels).resize(size[::-1], FILTERS[interpolation]))


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear", "lanczos"])
@pytest.mark.parametrize("fraction", [1.0, 0.875, 0.95])
@pytest.mark.parametrize("size", SIZES)
def test_shortest_resizes_and_cuts_the_center(size, fraction, interpolation):
    """Torchvision's Resize of the shorter side to floor(S / fraction), then its CenterCrop."""
    pixels = image(size)
    short, long = sorted(size)
    side = math.floor(24 / fraction)
    scaled = (side, int(side * long / short))
    scaled = scaled if size[0] <= size[1] else scaled[::-1]
    whole = by_pillow(pixels, scaled, interpolation)
    top, left = (round((length - 24) / 2) for length in scaled)
    found = placed(pixels, (24, 24), Geometry("shortest", fraction, interpolation))
    difference = np.abs(found.astype(int) - whole[top : top + 24, left : left + 24])
    assert difference.max() <= 2
    assert difference.mean() < 0.1


@pytest.mark.parametrize("interpolation", FILTERS)
@pytest.mark.parametrize("size", SIZES)
def test_squash_resizes_both_sides(size, interpolation):
    pixels = image(size)
    found = placed(pixels, (24, 20), Geometry("squash", interpolation=interpolation))
    np.testing.assert_array_equal(found, by_pillow(pixels, (24, 20), interpolation))


@pytest.mark.parametrize("size", SIZES)
def test_pad_shows_all_of_the_image(size):
    pixels = image(size)
    longest = max(size)
    height, width = (int(24 * length / longest) for length in size)
    found = placed(pixels, (24, 24), Geometry("pad"))
    top, left = -round((height - 24) / 2), -round((width - 24) / 2)
    inside = found[top : top + height, left : left + width]
    np.testing.assert_array_equal(inside, by_pillow(pixels, (height, width), "bicubic"))
    if top:
        np.testing.assert_array_equal(found[top - 1], found[top + 1])  # mirrored
    if left:
        np.testing.assert_array_equal(found[:, left - 1], found[:, left + 1])
    labels = place_labels(pixels[..., 0] // 128, Geometry("pad").place(size, (24, 24)))
    assert (labels != 255).sum() == height * width
    assert (labels[top : top + height, left : left + width] < 2).all()


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_none_keeps_native_pixels(dtype):
    pixels = image((20, 40), 2, dtype)
    found = placed(pixels, (30, 16), Geometry("none"))
    np.testing.assert_array_equal(found[5:25], pixels[:, 12:28])
    np.testing.assert_array_equal(found[:5], pixels[5:0:-1, 12:28])
    assert found.dtype == dtype


def test_an_image_of_the_size_stays_as_it_is():
    pixels = image((24, 36))
    for resize in ("shortest", "squash", "pad", "none"):
        found = placed(pixels, (24, 36), Geometry(resize))
        np.testing.assert_array_equal(found, pixels)
        assert np.shares_memory(found, pixels)
    # A single pixel, and one row.
    for size in ((1, 1), (1, 7)):
        for resize in ("shortest", "squash", "pad", "none"):
            assert placed(image(size), (4, 4), Geometry(resize)).shape == (4, 4, 3)


def reference_box(rng, height, width, scale, ratio):
    """`RandomResizedCrop.get_params` of torchvision, from its documentation."""
    for _ in range(10):
        area = height * width * rng.uniform(*scale)
        aspect = np.exp(rng.uniform(np.log(ratio[0]), np.log(ratio[1])))
        w, h = round(np.sqrt(area * aspect)), round(np.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            top, left = rng.integers(0, height - h + 1), rng.integers(0, width - w + 1)
            return top, left, top + h, left + w
    raise AssertionError("not needed for this size")


def features(boxes, height, width):
    top, left, bottom, right = np.array(boxes, float).T
    h, w = bottom - top, right - left
    # Where a crop lies among the places that it could have.
    return h * w / (height * width), np.log(w / h), top / (height - h + 1), left / (width - w + 1)


def test_random_resized_crop_draws_as_torchvision():
    scale, ratio, size = (0.08, 0.8), (3 / 4, 4 / 3), (375, 500)
    crop = TrainCrop((224, 224), scale, ratio)
    boxes = [crop.draw(crop_rng(0, 0, i), size, Geometry()).box for i in range(3000)]
    other = np.random.default_rng(1)
    expected = [reference_box(other, *size, scale, ratio) for _ in range(3000)]
    found = zip(features(boxes, *size), features(expected, *size), strict=True)
    for ours, theirs in found:
        assert ks_2samp(ours, theirs).pvalue > 1e-3
    # From the whole image, not from its central square.
    assert min(box[1] for box in boxes) == 0
    assert max(box[3] for box in boxes) == 500


@pytest.mark.parametrize(
    ("size", "box"),
    [((10, 1000), (0, 493, 10, 506)), ((1000, 10), (493, 0, 506, 10)), ((10, 11), (0, 0, 10, 11))],
)
def test_where_no_random_shape_fits(size, box):
    crop = TrainCrop((8, 8), (2.0, 2.0), (3 / 4, 4 / 3))
    assert crop.draw(crop_rng(0, 0, 0), size, Geometry()).box == box


def test_a_draw_is_a_function_of_seed_step_and_example():
    crop = TrainCrop((8, 8), (0.1, 1.0))
    draws = [
        crop.draw(crop_rng(*key), (50, 60), Geometry()).box
        for key in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 0))
    ]
    assert draws[0] == draws[-1]
    assert len(set(draws)) == 4


@pytest.mark.parametrize("mode", ["zero", "reflect"])
def test_pad_crop_takes_windows_of_native_pixels(mode):
    """Its border is added to the whole image, and not to the middle that evaluation sees."""
    pixels = np.arange(1, 20 * 30 + 1, dtype=np.uint16).reshape(20, 30, 1)
    padded = np.pad(pixels, ((4, 4), (4, 4), (0, 0)),
                    **({"mode": "reflect"} if mode == "reflect" else {}))  # fmt: skip
    crop = train_crop(AugmentConfig(pad_crop=4, pad_mode=mode), (16, 16))
    corners = set()
    for number in range(200):
        placement = crop.draw(crop_rng(0, 0, number), (20, 30), Geometry("none"))
        found = place_pixels(pixels, placement, 1)
        windows = np.lib.stride_tricks.sliding_window_view(padded[..., 0], (16, 16))
        matches = np.argwhere((windows == found[..., 0]).all(axis=(2, 3)))
        assert len(matches) == 1
        corners.add(tuple(matches[0].tolist()))
    rows, columns = map(set, zip(*corners, strict=True))
    assert rows == set(range(13))  # all windows: 28 - 16 + 1
    assert columns == set(range(23))


FORMS = {
    # sizes, what is wanted -> frame, size in evaluation, resize, fraction, whether crops are drawn
    "one size": ([(32, 32)], {"random_crops": True}, (32, 32), (32, 32), "shortest", 1.0, False),
    "enlarged": ([(32, 32)], {"image_size": 64, "random_crops": True, "expected_fraction": 0.9},
                 (64, 64), (64, 64), "shortest", 1.0, False),
    "oblong": ([(30, 40)], {"image_size": 32, "random_crops": True}, (32, 32), (32, 32),
               "shortest", 1.0, True),
    "larger": ([(640, 640)], {"image_size": 224, "random_crops": True}, (224, 224), (224, 224),
               "shortest", 1.0, True),
    "photographs": ([(300, 400), (500, 200)], {"expected_fraction": 0.95}, (224, 224), (224, 224),
                    "shortest", 0.95, False),
    "asked": ([(300, 400)], {"image_size": 224, "crop_fraction": 0.875, "random_crops": True,
                             "expected_fraction": 0.95, "resize": "squash"},
              (224, 224), (224, 224), "squash", 0.875, True),
    "maps of one size": ([(64, 48)], {"maps": True}, (64, 48), (64, 48), "none", 1.0, False),
    "maps of several": ([(64, 128), (70, 126)], {"maps": True}, (70, 128), (70, 128), "none", 1.0,
                        False),
    "maps, large": ([(600, 128), (700, 126)], {"maps": True}, (512, 128), (700, 128), "none", 1.0,
                    True),
    "maps, huge": ([(4000, 3000)], {"maps": True, "image_size": 256, "resize": "none"},
                   (256, 256), (512, 512), "none", 1.0, True),
    "maps, scaled": ([(600, 128), (700, 126)], {"maps": True, "image_size": 64}, (64, 64),
                     (64, 64), "pad", 1.0, False),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_what_images_are_brought_to(name):
    sizes, wanted, frame, eval_size, resize, fraction, crops = FORMS[name]
    form = choose_form(sizes, 3, "uint8", Wanted(**wanted))
    assert form.shape == (*frame, 3)
    assert form.eval_size == eval_size
    assert (form.geometry.resize, form.geometry.crop_fraction) == (resize, fraction)
    assert form.crops == crops
