"""Tiled prediction equals that of the whole image, and its memory is what is stated."""

import functools
import os
import subprocess
import sys
import textwrap
import tracemalloc
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.errors import UserError
from cnnlab.inference.tiling import class_map, predict_mirrored, predict_tiled
from cnnlab.models import create_model


class Hourglass(nn.Module):
    """Down to a quarter of the size and up again; no pixel sees further than 14 pixels."""

    classes: int

    @nn.compact
    def __call__(self, x):
        for width in (4, 6):
            x = nn.max_pool(nn.relu(nn.Conv(width, (3, 3))(x)), (2, 2), (2, 2))
        x = nn.relu(nn.Conv(8, (3, 3))(x))
        x = jnp.repeat(jnp.repeat(x, 4, axis=1), 4, axis=2)
        return nn.Conv(self.classes, (3, 3))(x)


RADIUS = 14


@functools.cache
def hourglass(channels=3, classes=5):
    model = Hourglass(classes)
    variables = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 16, 16, channels)))
    return jax.jit(lambda images: model.apply(variables, images))


def unet(levels):
    """With three levels, sees 2 + 1 + 4 + 2 + 8 pixels on the way down.

    And less than 4 + 4 + 2 + 2 on the way up. Two levels see less than half as far.
    """
    model = create_model("unet", num_classes=5, width=4, levels=levels)
    init = jax.jit(lambda key: model.init(key, jnp.zeros((1, 16, 16, 3)), train=False))
    variables = init(jax.random.key(0))
    return jax.jit(lambda images: model.apply(variables, images, train=False))


def picture(height, width, channels=3):
    return np.random.default_rng(0).normal(size=(height, width, channels)).astype(np.float32)


def tiled(predict, image, **options):
    return np.concatenate(list(predict_tiled(predict, image, multiple=4, **options)))


@pytest.mark.parametrize("size", [(96, 160), (200, 64), (64, 64)])
@pytest.mark.parametrize("overlap", [32, 48])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_equals_the_whole_image(size, overlap, batch_size):
    """At every pixel, also at the borders of the image."""
    predict, image = hourglass(), picture(*size)
    whole = predict(image[None])[0]
    parts = tiled(predict, image, tile=64, overlap=overlap, margin=RADIUS, batch_size=batch_size)
    np.testing.assert_allclose(parts, whole, atol=1e-5)


@pytest.mark.parametrize(
    ("levels", "margin", "size"),
    [(2, 16, (100, 140)), pytest.param(3, 32, (200, 276), marks=pytest.mark.slow)],
)
def test_equals_the_whole_image_with_unet(levels, margin, size):
    predict, image = unet(levels), picture(*size)
    whole = predict(image[None])[0]
    parts = tiled(predict, image, tile=4 * margin, overlap=2 * margin, margin=margin)
    np.testing.assert_allclose(parts, whole, atol=1e-5)


@pytest.mark.parametrize(
    ("levels", "min_size", "border", "extent", "extents"),
    [
        (2, 18, 8, 52, (88, 68)),
        pytest.param(3, 44, 20, 76, (112, 92), marks=pytest.mark.slow),
    ],
)
def test_equals_the_whole_image_with_a_unet_without_padding(
    levels, min_size, border, extent, extents
):
    """At every pixel and without overlap: a tile's surroundings are the image's, or its mirror's.

    Beyond the image both see a mirror, so that even its corners agree with numpy's padding.
    """
    model = create_model("unet_valid", num_classes=3, width=3, levels=levels)
    assert (model.min_size, model.border) == (min_size, border)
    smallest = picture(min_size, min_size)[None]
    variables = jax.jit(lambda: model.init(jax.random.key(0), smallest, train=False))()
    predict = jax.jit(lambda images: model.apply(variables, images, train=False))
    image = picture(69, 50)
    parts = tiled(predict, image, tile=32, overlap=0, border=border, extent=extent)
    assert parts.shape == (69, 50, 3)
    whole = predict_mirrored(predict, image[None], border=border, extents=extents)[0]
    np.testing.assert_allclose(parts, whole, atol=1e-5)
    below, right = (extent - border - side for extent, side in zip(extents, (69, 50), strict=True))
    padded = np.pad(image, ((border, below), (border, right), (0, 0)), mode="reflect")
    np.testing.assert_allclose(whole, predict(padded[None])[0, :69, :50], atol=1e-5)


def test_differs_at_mirrored_borders_only():
    """A size that the stride does not divide is mirrored to one that it does."""
    predict, image = hourglass(), picture(131, 77)
    parts = tiled(predict, image, tile=64, overlap=32, margin=RADIUS)
    whole = predict(np.pad(image, ((0, 1), (0, 3), (0, 0)), mode="reflect")[None])[0, :131, :77]
    np.testing.assert_allclose(parts, whole, atol=1e-5)


def test_image_smaller_than_a_tile():
    predict, image = hourglass(), picture(10, 3)
    parts = tiled(predict, image, tile=32, overlap=0)
    padded = np.pad(image, ((0, 22), (0, 29), (0, 0)), mode="reflect")
    np.testing.assert_allclose(parts, predict(padded[None])[0, :10, :3], atol=1e-5)
    row = tiled(predict, image[:1, :1], tile=8, overlap=0)
    flat = np.broadcast_to(image[:1, :1], (8, 8, 3))
    np.testing.assert_allclose(row, predict(flat[None])[0, :1, :1], atol=1e-5)


def test_blends_without_a_margin():
    """Weights sum to 1, whatever the overlap, and change little from pixel to pixel."""
    image = picture(60, 92)
    for overlap in (0, 8, 20, 28):
        parts = tiled(lambda tiles: tiles, image, tile=32, overlap=overlap)
        np.testing.assert_allclose(parts, image, atol=1e-6)
    numbers = iter(range(100))

    def count(tiles):
        return np.stack([np.full((32, 32, 1), next(numbers), np.float32) for _ in tiles])

    steps = np.diff(tiled(count, picture(32, 96), tile=32, overlap=16)[0, :, 0])
    assert steps.min() >= 0
    assert steps.max() == pytest.approx(1 / 16)


def test_margin_counts_for_nothing():
    def spoil_edges(tiles):
        spoiled = tiles.copy()
        spoiled[:, :, -8:] = spoiled[:, -8:] = 1e6
        return spoiled

    image = picture(96, 96)
    parts = tiled(spoil_edges, image, tile=32, overlap=16, margin=8)
    np.testing.assert_allclose(parts[:88, :88], image[:88, :88], atol=1e-6)


def test_compiles_once():
    predict = hourglass(classes=4)
    for size in ((96, 161), (10, 200), (64, 64)):
        tiled(predict, picture(*size), tile=64, overlap=32, batch_size=1)
    assert predict._cache_size() == 1


def test_class_map():
    image = picture(50, 70, 4)
    bands = predict_tiled(lambda tiles: tiles, image, tile=32, overlap=8, multiple=8)
    labels = class_map(bands, (50, 70))
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels, image.argmax(-1))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"tile": 48, "overlap": 0}, "48 pixels must be a multiple of 32.*take 64"),
        ({"tile": 0, "overlap": 0}, "take 32"),
        ({"tile": 64, "overlap": 40}, "overlap of 40 pixels must be from 0 to 32"),
        ({"tile": 64, "overlap": -1}, "overlap of -1"),
        ({"tile": 64, "overlap": 32, "margin": 17}, "margin of 17 pixels must be from 0 to 16"),
    ],
)
def test_mistakes(options, sentence):
    with pytest.raises(UserError, match=sentence):
        predict_tiled(lambda tiles: tiles, picture(64, 64), **options)


def test_other_mistakes():
    with pytest.raises(UserError, match="must be \\[height, width, channels\\]"):
        predict_tiled(lambda tiles: tiles, picture(64, 64)[0], tile=32, overlap=0)
    bands = predict_tiled(lambda tiles: tiles[:, 1:-1], picture(64, 64), tile=32, overlap=0)
    with pytest.raises(UserError, match="32x32 pixels were given predictions of shape"):
        next(bands)


def stated_bytes(width, classes, *, tile, step, batch_size, pixel_bytes):
    return (
        4 * classes * ((tile + 2 * step) * width + (batch_size + 1) * tile**2)
        + 2 * pixel_bytes * batch_size * tile**2
    )


def test_memory_of_the_host_is_what_is_stated():
    """Counted by tracemalloc, which sees NumPy's arrays; it does not grow with the height."""
    classes, peaks = 8, []
    for height in (512, 2048):
        image = np.zeros((height, 1024, 1), np.uint8)
        tracemalloc.start()
        for _ in predict_tiled(
            lambda tiles: np.repeat(tiles, classes, axis=-1).astype(np.float32),
            image, tile=128, overlap=32, batch_size=4,
        ):  # fmt: skip
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    bound = stated_bytes(1024, classes, tile=128, step=96, batch_size=4, pixel_bytes=1)
    # The network's part here: the tiles of uint8 before they become floats.
    bound += 4 * classes * 128**2
    assert max(peaks) < 1.02 * bound
    assert peaks[1] < 1.02 * peaks[0]


LARGE = """
    import sys, time
    from pathlib import Path
    import numpy as np
    from cnnlab.inference.tiling import predict_tiled
    from tests.tasks.test_tiling import hourglass

    def kilobytes(name):
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(name))

    image = np.load(sys.argv[1], mmap_mode="r")
    network = hourglass(channels=1)
    predict = lambda tiles: network(tiles.astype(np.float32) / 255)
    np.asarray(predict(np.zeros((4, 256, 256, 1), np.uint8)))
    labels = np.lib.format.open_memmap(sys.argv[2], "w+", np.uint8, image.shape[:2])
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts from here
    before, start, top = kilobytes("VmRSS"), time.perf_counter(), 0
    options = dict(tile=256, overlap=64, margin=16, multiple=4, batch_size=4)
    for band in predict_tiled(predict, image, **options):
        labels[top : top + len(band)] = band.argmax(-1)
        top += len(band)
    print(time.perf_counter() - start, 1024 * (kilobytes("VmHWM") - before))
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="reads Linux's /proc")
@pytest.mark.parametrize("side", [1024, pytest.param(4096, marks=pytest.mark.slow)])
def test_large_image(side, tmp_path):
    """From a file to a file: as the whole image, within the stated memory."""
    image = np.random.default_rng(0).integers(0, 256, (side, side, 1), np.uint8)
    files = [tmp_path / "image.npy", tmp_path / "labels.npy"]
    np.save(files[0], image)
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(LARGE), *files],
        # So that glibc returns what is freed, and what is held is what is measured.
        env={**os.environ, "MALLOC_MMAP_THRESHOLD_": str(2**20)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    seconds, grown = map(float, run.stdout.split())
    assert seconds < 60
    bound = stated_bytes(side, 5, tile=256, step=192, batch_size=4, pixel_bytes=1)
    # Beside it: both files, mapped; the classes of a band as int64; the activations of the network.
    bound += 2 * side**2 + 8 * 192 * side + 4 * 4 * 256**2 * (1 + 2 * 4 + 8 + 5)
    assert grown < bound
    whole = np.asarray(hourglass(channels=1)(image[None].astype(np.float32) / 255))[0]
    # Equal up to rounding: where the classes differ, two of them are as large as each other.
    labels = np.load(files[1])
    chosen = np.take_along_axis(whole, labels[:, :, None], axis=-1)[:, :, 0]
    np.testing.assert_allclose(chosen, whole.max(-1), atol=1e-5)
