"""Augmentations that remove or mix parts of images, after normalisation."""

import jax
import jax.numpy as jnp

_ERASING_ATTEMPTS = 10


def cutout(rng: jax.Array, images: jax.Array, size: int) -> jax.Array:
    """Sets a square of each image to zero, the mean color of normalised images.

    DeVries & Taylor 2017, arXiv:1708.04552: the center is anywhere in the image, so a part of the
    square may lie outside of it.

    Args:
      rng: a key.
      images: normalised, [batch, height, width, channels].
      size: side of the square in pixels.
    """
    return images * (1.0 - _boxes(rng, images.shape, size, size))


def random_erasing(
    rng: jax.Array,
    images: jax.Array,
    probability: float,
    scale: tuple[float, float] = (0.02, 0.33),
    ratio: tuple[float, float] = (0.3, 3.3),
    *,
    fill: str = "mean",
) -> jax.Array:
    """Erases a rectangle of random size and shape in a random share of the images.

    As in torchvision, up to ten sizes are drawn until one is smaller than the image on both axes;
    if none is, the image is unchanged.

    Args:
      rng: a key.
      images: normalised, [batch, height, width, channels].
      probability: probability of erasing a rectangle of an image; may be traced.
      scale: smallest and largest area as a share of the image; may be traced.
      ratio: smallest and largest height / width, drawn uniformly in the logarithm; may be traced.
      fill: `mean` sets pixels to zero, the mean color; `noise` to standard normal values.

    References:
      Zhong et al. 2020, "Random erasing data augmentation", arXiv:1708.04896, algorithm 1.
    """
    batch, rows, columns, _ = images.shape
    keys = jax.random.split(rng, 6)
    chosen = jax.random.bernoulli(keys[0], probability, (batch,))
    shape = (batch, _ERASING_ATTEMPTS)
    area = jax.random.uniform(keys[1], shape, minval=scale[0], maxval=scale[1]) * rows * columns
    low, high = jnp.log(ratio[0]), jnp.log(ratio[1])
    aspect = jnp.exp(jax.random.uniform(keys[2], shape, minval=low, maxval=high))
    heights, widths = jnp.round(jnp.sqrt(area * aspect)), jnp.round(jnp.sqrt(area / aspect))
    fits = (heights < rows) & (widths < columns)
    first = fits.argmax(1)
    chosen &= fits.any(1)
    height = jnp.take_along_axis(heights, first[:, None], 1)[:, 0]
    width = jnp.take_along_axis(widths, first[:, None], 1)[:, 0]
    # A place of its own for every corner at which the rectangle lies inside.
    top = jnp.floor(jax.random.uniform(keys[3], (batch,)) * (rows - height + 1))
    left = jnp.floor(jax.random.uniform(keys[4], (batch,)) * (columns - width + 1))

    def inside(start: jax.Array, size: jax.Array, length: int) -> jax.Array:
        places = jnp.arange(length)
        return (places >= start[:, None]) & (places < (start + size)[:, None])

    box = inside(top, height, rows)[:, :, None] & inside(left, width, columns)[:, None, :]
    box &= chosen[:, None, None]
    new = jax.random.normal(keys[5], images.shape) if fill == "noise" else 0.0
    return jnp.where(box[..., None], new, images)


def _boxes(
    rng: jax.Array, shape: tuple[int, ...], height: jax.Array | int, width: jax.Array | int
) -> jax.Array:
    """Masks that are 1 in a box around a random center, [batch, height, width, 1]."""
    batch, rows, columns, _ = shape
    row_key, column_key = jax.random.split(rng)
    top = jax.random.randint(row_key, (batch, 1, 1, 1), 0, rows) - height // 2
    left = jax.random.randint(column_key, (batch, 1, 1, 1), 0, columns) - width // 2
    row, column = jnp.arange(rows)[None, :, None, None], jnp.arange(columns)[None, None, :, None]
    inside = (row >= top) & (row < top + height) & (column >= left) & (column < left + width)
    return inside.astype(jnp.float32)


def mixup(
    rng: jax.Array, images: jax.Array, target: jax.Array, alpha: float
) -> tuple[jax.Array, jax.Array]:
    """Blends each image and its target with those of another (Zhang et al. 2018, arXiv:1710.09412).

    Args:
      rng: a key.
      images: [batch, height, width, channels].
      target: [batch, classes], rows sum to 1.
      alpha: parameter of Beta(alpha, alpha), from which one weight is drawn for the batch.
    """
    weight_key, order_key = jax.random.split(rng)
    weight = jax.random.beta(weight_key, alpha, alpha)
    order = jax.random.permutation(order_key, images.shape[0])
    return (
        weight * images + (1.0 - weight) * images[order],
        weight * target + (1.0 - weight) * target[order],
    )


def cutmix(
    rng: jax.Array, images: jax.Array, target: jax.Array, alpha: float
) -> tuple[jax.Array, jax.Array]:
    """Pastes a box of another image into each; targets mix by area (Yun et al. 2019, 1905.04899).

    Args:
      rng: a key.
      images: [batch, height, width, channels].
      target: [batch, classes], rows sum to 1.
      alpha: parameter of Beta(alpha, alpha), from which one share of the box is drawn for the
        batch; targets use the area of the box within the image.
    """
    weight_key, order_key, box_key = jax.random.split(rng, 3)
    side = jnp.sqrt(1.0 - jax.random.beta(weight_key, alpha, alpha))
    height = jnp.round(side * images.shape[1]).astype(jnp.int32)
    width = jnp.round(side * images.shape[2]).astype(jnp.int32)
    box = _boxes(box_key, (1, *images.shape[1:]), height, width)
    order = jax.random.permutation(order_key, images.shape[0])
    pasted = box.mean()
    return (
        jnp.where(box > 0, images[order], images),
        (1.0 - pasted) * target + pasted * target[order],
    )
