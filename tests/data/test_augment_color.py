"""Color operations against PIL and the standard library."""

import colorsys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from cnnlab.data.augment import color, color_jitter


@pytest.fixture(params=[1, 3], ids=["gray", "color"])
def pixels(request):
    """uint8 levels that fill only a part of the range, of an odd shape."""
    shape = (11, 13, request.param)
    return np.random.default_rng(0).integers(30, 200, shape).astype(np.uint8)


def pil(pixels):
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def apply(function, pixels, *arguments):
    """Our result of one image, in levels of 0 to 255."""
    images = jnp.asarray(pixels[None], jnp.float32) / 255.0
    result = jax.jit(function)(images, *(jnp.full(1, a) for a in arguments))
    return np.asarray(result[0]) * 255.0


def levels(image):
    array = np.asarray(image, np.float32)
    return array[..., None] if array.ndim == 2 else array


@pytest.mark.parametrize(
    ("function", "enhancer"),
    [
        (color.brightness, ImageEnhance.Brightness),
        (color.contrast, ImageEnhance.Contrast),
        (color.saturation, ImageEnhance.Color),
        (color.sharpness, ImageEnhance.Sharpness),
    ],
)
@pytest.mark.parametrize("factor", [0.0, 0.4, 1.0, 1.9])
def test_enhancements_are_those_of_pil(pixels, function, enhancer, factor):
    theirs = levels(enhancer(pil(pixels)).enhance(factor))
    # PIL rounds the intermediate gray or blur to whole levels, then the result.
    np.testing.assert_allclose(apply(function, pixels, factor), theirs, atol=2.01)


@pytest.mark.parametrize("bits", [1, 3, 4, 8])
def test_posterize_is_that_of_pil(pixels, bits):
    ours = apply(color.posterize, pixels, bits)
    np.testing.assert_allclose(ours, levels(ImageOps.posterize(pil(pixels), bits)), atol=1e-3)


@pytest.mark.parametrize("threshold", [0, 77, 128, 255])
def test_solarize_is_that_of_pil(pixels, threshold):
    ours = apply(color.solarize, pixels, threshold / 255.0)
    np.testing.assert_allclose(ours, levels(ImageOps.solarize(pil(pixels), threshold)), atol=1e-3)


def test_autocontrast_is_that_of_pil(pixels):
    theirs = levels(ImageOps.autocontrast(pil(pixels)))
    np.testing.assert_allclose(apply(color.autocontrast, pixels), theirs, atol=1.01)


def test_equalize_is_that_of_pil(pixels):
    theirs = levels(ImageOps.equalize(pil(pixels)))
    np.testing.assert_allclose(apply(color.equalize, pixels), theirs, atol=1e-3)


def test_a_constant_image_survives_every_operation():
    constant = np.full((5, 5, 3), 90, np.uint8)
    for function in (color.autocontrast, color.equalize):
        np.testing.assert_allclose(apply(function, constant), constant, atol=1e-3)
    for function in (color.contrast, color.saturation, color.sharpness):
        np.testing.assert_allclose(apply(function, constant, 1.9), constant, atol=1e-3)


@pytest.mark.parametrize("turn", [-0.5, -0.1, 0.0, 0.2, 0.37, 0.5])
def test_hue_is_that_of_the_hsv_model(turn):
    colors = np.random.default_rng(0).random((1, 6, 7, 3), np.float32)
    colors[0, 0, 0] = (0.4, 0.4, 0.4)  # gray has no hue
    colors[0, 0, 1] = (0.0, 0.0, 0.0)
    colors[0, 0, 2] = (0.7, 0.7, 0.2)  # two channels share the largest value
    colors[0, 0, 3] = (0.2, 0.7, 0.7)
    expected = np.empty_like(colors)
    for index in np.ndindex(6, 7):
        hue, saturation, value = colorsys.rgb_to_hsv(*colors[0][index].astype(float))
        expected[0][index] = colorsys.hsv_to_rgb((hue + turn) % 1.0, saturation, value)
    ours = jax.jit(color.hue)(jnp.asarray(colors), jnp.full(1, turn))
    np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_jitter_of_strength_zero_is_the_identity(rng, pixels):
    images = jnp.asarray(np.stack([pixels] * 3), jnp.float32) / 255.0
    np.testing.assert_allclose(color_jitter(rng, images), images, atol=1e-5)


def test_jitter_draws_for_each_image_within_its_strength(rng):
    images = jnp.full((200, 2, 2, 3), 0.5)
    factors = np.asarray(color_jitter(rng, images, brightness_strength=0.4))[:, 0, 0, 0] / 0.5
    assert factors.min() >= 0.6 - 1e-6
    assert factors.max() <= 1.4 + 1e-6
    assert factors.min() < 0.65
    assert factors.max() > 1.35
    assert len(np.unique(factors)) > 150


def test_jitter_changes_color_of_color_images_only(rng):
    gray = jax.random.uniform(rng, (2, 4, 4, 1))
    jittered = color_jitter(rng, gray, saturation_strength=0.9, hue_strength=0.5)
    np.testing.assert_allclose(jittered, gray, atol=1e-6)
