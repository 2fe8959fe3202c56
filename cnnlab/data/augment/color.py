"""Augmentations of color: functions of images in [0, 1], float32 [batch, height, width, channels].

Factors are [batch]; a factor of 1 is the identity. Definitions are those of PIL's `ImageEnhance`
and `ImageOps`, without intermediate rounding to 8 bits, except where they count levels.
"""

import jax
import jax.numpy as jnp

# ITU-R 601 luma, as PIL's conversion to gray.
_LUMA = (0.299, 0.587, 0.114)


def gray(images: jax.Array) -> jax.Array:
    """Luma of color images, [batch, height, width, 1]; gray images are returned as they are."""
    if images.shape[-1] != 3:
        return images
    return (images * jnp.array(_LUMA)).sum(-1, keepdims=True)


def blend(first: jax.Array, second: jax.Array, factors: jax.Array) -> jax.Array:
    """`first` at factor 0, `second` at 1, extrapolated beyond, clipped to [0, 1]."""
    factors = factors[:, None, None, None]
    return jnp.clip(first + factors * (second - first), 0.0, 1.0)


def brightness(images: jax.Array, factors: jax.Array) -> jax.Array:
    """Multiplies pixels by factors [batch]."""
    return blend(jnp.zeros_like(images), images, factors)


def contrast(images: jax.Array, factors: jax.Array) -> jax.Array:
    """Scales the difference of pixels to the image's mean gray by factors [batch]."""
    return blend(gray(images).mean((1, 2, 3), keepdims=True), images, factors)


def saturation(images: jax.Array, factors: jax.Array) -> jax.Array:
    """Scales the difference of pixels to their gray by factors [batch]."""
    return blend(gray(images), images, factors)


def hue(images: jax.Array, turns: jax.Array) -> jax.Array:
    """Rotates the hue (of the HSV model) of color images by `turns` [batch] of the circle."""
    red, green, blue = images[..., 0], images[..., 1], images[..., 2]
    value, low = images.max(-1), images.min(-1)
    spread = value - low
    safe = jnp.where(spread > 0, spread, 1.0)
    # By comparing channels with each other: XLA may compute them again for `value`, with another
    # rounding, so that none equals it. Near a tie, either case gives nearly the same.
    sector = jnp.where(
        (red >= green) & (red >= blue),
        (green - blue) / safe,
        jnp.where(green >= blue, 2.0 + (blue - red) / safe, 4.0 + (red - green) / safe),
    )
    sector = sector + 6.0 * turns[:, None, None]
    # Each channel falls from value to low and back over the circle, a third of a turn apart.
    offsets = jnp.array([5.0, 3.0, 1.0])
    k = jnp.mod(offsets + sector[..., None], 6.0)
    return value[..., None] - spread[..., None] * jnp.clip(jnp.minimum(k, 4.0 - k), 0.0, 1.0)


def sharpness(images: jax.Array, factors: jax.Array) -> jax.Array:
    """Scales the difference of pixels to their 3x3 blur (weights 1, center 5), except at edges."""
    images = jnp.asarray(images)
    height, width = images.shape[1:3]
    neighbors = sum(
        images[:, row : height - 2 + row, column : width - 2 + column]
        for row in range(3)
        for column in range(3)
    )
    blurred = images.at[:, 1:-1, 1:-1].set((neighbors + 4.0 * images[:, 1:-1, 1:-1]) / 13.0)
    return blend(blurred, images, factors)


def _levels(images: jax.Array) -> jax.Array:
    return jnp.round(images * 255.0).astype(jnp.int32)


def posterize(images: jax.Array, bits: jax.Array) -> jax.Array:
    """Keeps the `bits` [batch] highest of 8 bits."""
    step = 2.0 ** (8 - bits.astype(jnp.float32))[:, None, None, None]
    return jnp.floor(_levels(images) / step) * step / 255.0


def solarize(images: jax.Array, thresholds: jax.Array) -> jax.Array:
    """Inverts pixels at or above `thresholds` [batch], in [0, 1]."""
    return jnp.where(images >= thresholds[:, None, None, None], 1.0 - images, images)


def autocontrast(images: jax.Array) -> jax.Array:
    """Stretches each channel of each image to [0, 1]; constant channels are unchanged."""
    low, high = images.min((1, 2), keepdims=True), images.max((1, 2), keepdims=True)
    stretched = (images - low) / jnp.where(high > low, high - low, 1.0)
    return jnp.where(high > low, stretched, images)


def equalize(images: jax.Array) -> jax.Array:
    """Equalizes the histogram of each channel of each image over 256 levels."""

    def one(levels: jax.Array) -> jax.Array:
        """Levels [height * width] of one channel."""
        counts = jnp.zeros(256, jnp.int32).at[levels].add(1)
        last = counts[255 - jnp.argmax(counts[::-1] > 0)]
        step = (levels.size - last) // 255
        before = jnp.cumsum(counts) - counts
        table = jnp.clip((before + step // 2) // jnp.maximum(step, 1), 0, 255)
        return jnp.where(step > 0, table[levels], levels)

    batch, height, width, channels = images.shape
    levels = _levels(images).reshape(batch, height * width, channels)
    equal = jax.vmap(jax.vmap(one, in_axes=1, out_axes=1))(levels)
    return equal.reshape(images.shape).astype(jnp.float32) / 255.0


def color_jitter(
    rng: jax.Array,
    images: jax.Array,
    *,
    brightness_strength: float = 0.0,
    contrast_strength: float = 0.0,
    saturation_strength: float = 0.0,
    hue_strength: float = 0.0,
) -> jax.Array:
    """Changes brightness, contrast, saturation and hue, in this order, by uniform draws.

    The first three change by a factor from 1 - strength to 1 + strength, hue by up to its strength
    as a share of the circle in either direction. Saturation and hue of gray images do not change.
    """
    draws = jax.random.uniform(rng, (4, images.shape[0]), minval=-1.0, maxval=1.0)
    images = brightness(images, 1.0 + brightness_strength * draws[0])
    images = contrast(images, 1.0 + contrast_strength * draws[1])
    if images.shape[-1] == 3:
        images = saturation(images, 1.0 + saturation_strength * draws[2])
        images = hue(images, hue_strength * draws[3])
    return images
