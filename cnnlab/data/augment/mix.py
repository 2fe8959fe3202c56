"""Augmentations that remove or mix parts of images, after normalisation."""

import jax
import jax.numpy as jnp


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


def _boxes(
    rng: jax.Array, shape: tuple[int, ...], height: jax.Array | int, width: jax.Array | int
) -> jax.Array:
    """1 inside of a box around a random center, 0 elsewhere, [batch, height, width, 1]."""
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
      alpha: the weight is drawn from Beta(alpha, alpha), one for the batch.
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
      alpha: the share of the box is drawn from Beta(alpha, alpha), one for the batch; a box that
        the edge cuts counts with the area that is left.
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
