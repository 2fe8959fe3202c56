"""Geometric augmentations: functions of (key, images) with independent draws per image.

Images are float32 [batch, height, width, channels]. Strengths may be traced. Label maps, as images
of one channel, move identically with the same key and `nearest=True`, which never mixes labels.
"""

import jax
import jax.numpy as jnp


def pad_crop(
    rng: jax.Array, images: jax.Array, pad: int, mode: str = "zero", *, fill: float = 0.0
) -> jax.Array:
    """Pads by `pad` pixels and crops the original size at random (arXiv:1512.03385, sec. 4.2).

    Args:
      rng: a key.
      images: [batch, height, width, channels].
      pad: pixels on each side.
      mode: `zero` or `reflect`.
      fill: value of pixels that `zero` adds.
    """
    batch, *shape = images.shape
    widths = ((0, 0), (pad, pad), (pad, pad), (0, 0))
    if mode == "zero":
        padded = jnp.pad(images, widths, constant_values=fill)
    else:
        padded = jnp.pad(images, widths, mode="reflect")
    corners = jax.random.randint(rng, (batch, 2), 0, 2 * pad + 1)

    def crop(image: jax.Array, corner: jax.Array) -> jax.Array:
        return jax.lax.dynamic_slice(image, (corner[0], corner[1], 0), shape)

    return jax.vmap(crop)(padded, corners)


def flip(rng: jax.Array, images: jax.Array, *, vertical: bool = False) -> jax.Array:
    """Mirrors each image with probability one half."""
    chosen = jax.random.bernoulli(rng, shape=(images.shape[0], 1, 1, 1))
    return jnp.where(chosen, images[:, ::-1] if vertical else images[:, :, ::-1], images)


def random_resized_crop(
    rng: jax.Array,
    images: jax.Array,
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
    *,
    nearest: bool = False,
) -> jax.Array:
    """Crops a random area of random shape and resizes it, bilinear and antialiased.

    Szegedy et al. 2015, arXiv:1409.4842, sec. 6. A crop that would be larger than the image on one
    axis is limited to it, instead of being drawn again.

    Args:
      rng: a key.
      images: [batch, height, width, channels].
      scale: smallest and largest area as a share of the image.
      ratio: smallest and largest width / height, drawn uniformly in the logarithm.
      nearest: take the nearest pixel, without interpolation.
    """
    batch, height, width, _ = images.shape
    keys = jax.random.split(rng, 3)
    area = jax.random.uniform(keys[0], (batch,), minval=scale[0], maxval=scale[1])
    low, high = jnp.log(jnp.asarray(ratio))
    aspect = jnp.exp(jax.random.uniform(keys[1], (batch,), minval=low, maxval=high))
    pixels = area * height * width
    size = jnp.stack([jnp.sqrt(pixels / aspect), jnp.sqrt(pixels * aspect)], axis=-1)
    extent = jnp.array([height, width], jnp.float32)
    size = jnp.minimum(size, extent)
    corner = jax.random.uniform(keys[2], (batch, 2)) * (extent - size)

    def resize(image: jax.Array, corner: jax.Array, size: jax.Array) -> jax.Array:
        factor = extent / size
        if nearest:
            rows, columns = (
                jnp.floor(corner[axis] + (jnp.arange(image.shape[axis]) + 0.5) / factor[axis])
                .clip(0, image.shape[axis] - 1)
                .astype(jnp.int32)
                for axis in (0, 1)
            )
            return image[rows[:, None], columns]
        return jax.image.scale_and_translate(
            image, image.shape, (0, 1), factor, -corner * factor, "linear", antialias=True
        )

    return jax.vmap(resize)(images, corner, size)


def affine(
    images: jax.Array, matrices: jax.Array, shifts: jax.Array, *, nearest: bool = False
) -> jax.Array:
    """Samples each image bilinearly at `matrix @ (position - center) + center + shift`.

    Positions outside of the image take the nearest pixel of its edge.

    Args:
      images: [batch, height, width, channels].
      matrices: [batch, 2, 2], of (row, column) positions.
      shifts: [batch, 2], in pixels.
      nearest: take the nearest pixel, without interpolation.
    """
    height, width = images.shape[1:3]
    rows, columns = jnp.meshgrid(jnp.arange(height), jnp.arange(width), indexing="ij")
    positions = jnp.stack([rows.ravel(), columns.ravel()]).astype(jnp.float32)
    center = jnp.array([[(height - 1) / 2], [(width - 1) / 2]])

    def sample(image: jax.Array, matrix: jax.Array, shift: jax.Array) -> jax.Array:
        # The default precision of accelerators is coarser than a pixel of a large image.
        moved = jnp.matmul(matrix, positions - center, precision="highest")
        return _sample(image, moved + center + shift[:, None], nearest)

    return jax.vmap(sample)(images, matrices, shifts)


def _sample(image: jax.Array, positions: jax.Array, nearest: bool) -> jax.Array:
    """Values of an image at (row, column) positions [2, height * width], in its own shape."""
    height, width = image.shape[:2]
    y, x = jnp.clip(positions[0], 0, height - 1), jnp.clip(positions[1], 0, width - 1)
    flat = image.reshape(height * width, -1)
    if nearest:
        rows, columns = jnp.round(y).astype(jnp.int32), jnp.round(x).astype(jnp.int32)
        return flat[rows * width + columns].reshape(image.shape)
    top, left = jnp.floor(y).astype(jnp.int32), jnp.floor(x).astype(jnp.int32)
    bottom, right = jnp.minimum(top + 1, height - 1), jnp.minimum(left + 1, width - 1)
    down, along = (y - top)[:, None], (x - left)[:, None]
    upper = flat[top * width + left] * (1 - along) + flat[top * width + right] * along
    lower = flat[bottom * width + left] * (1 - along) + flat[bottom * width + right] * along
    return (upper * (1 - down) + lower * down).reshape(image.shape)


def elastic(
    rng: jax.Array, images: jax.Array, alpha: float, sigma: float, *, nearest: bool = False
) -> jax.Array:
    """Moves pixels by a smooth random field (Simard et al. 2003, "Best practices for convolutional
    neural networks", sec. 2), as the U-Net was trained with (arXiv:1505.04597, sec. 3.1).

    Args:
      rng: a key.
      images: [batch, height, width, channels].
      alpha: standard deviation of the motion on each axis, in pixels.
      sigma: standard deviation in pixels of the Gaussian that smooths the field.
      nearest: take the nearest pixel, without interpolation.
    """
    batch, height, width, _ = images.shape
    noise = jax.random.normal(rng, (batch, 2, height, width))
    # Smoothing shrinks the noise; rows of each matrix are scaled so that its spread stays 1.
    rows, columns = (_gaussian_rows(extent, sigma) for extent in (height, width))
    field = alpha * jnp.einsum("ih,jw,bahw->baij", rows, columns, noise, precision="highest")
    grid = jnp.stack(jnp.meshgrid(jnp.arange(height), jnp.arange(width), indexing="ij"))
    positions = (grid + field).reshape(batch, 2, height * width)
    return jax.vmap(lambda image, at: _sample(image, at, nearest))(images, positions)


def _gaussian_rows(extent: int, sigma: float) -> jax.Array:
    """Matrix [extent, extent] that smooths unit noise and keeps its variance at 1."""
    distance = jnp.arange(extent)[:, None] - jnp.arange(extent)[None, :]
    weights = jnp.exp(-0.5 * (distance / sigma) ** 2)
    return weights / jnp.linalg.norm(weights, axis=1, keepdims=True)


def affine_matrices(
    angles: jax.Array, factors: jax.Array, shear_rows: jax.Array, shear_columns: jax.Array
) -> jax.Array:
    """Matrices for `affine` that rotate, magnify and shear, [batch, 2, 2].

    Args:
      angles: counter-clockwise angles in radians, [batch].
      factors: magnification, [batch].
      shear_rows: shift of rows downwards per pixel to the right, [batch].
      shear_columns: shift of columns to the right per pixel downwards, [batch].
    """
    cos, sin = jnp.cos(angles), jnp.sin(angles)
    one = jnp.ones_like(cos)
    # Sampling positions move against the content: each factor is the inverse of the motion.
    rotation = jnp.stack([jnp.stack([cos, sin], -1), jnp.stack([-sin, cos], -1)], -2)
    shear = jnp.stack([jnp.stack([one, -shear_rows], -1), jnp.stack([-shear_columns, one], -1)], -2)
    return jnp.matmul(rotation, shear, precision="highest") / factors[:, None, None]


def random_affine(
    rng: jax.Array,
    images: jax.Array,
    *,
    rotate_degrees: float = 0.0,
    translate: float = 0.0,
    scale: float = 0.0,
    shear_degrees: float = 0.0,
    nearest: bool = False,
) -> jax.Array:
    """Rotates, shifts, scales and shears, each by a uniform draw up to its strength.

    Args:
      rng: a key.
      images: [batch, height, width, channels].
      rotate_degrees: largest angle in degrees, in either direction.
      translate: largest shift as a share of the image, in either direction, on both axes.
      scale: largest relative change of size.
      shear_degrees: largest shear of the columns in degrees, in either direction.
      nearest: take the nearest pixel, without interpolation.
    """
    batch, height, width, _ = images.shape
    draws = jax.random.uniform(rng, (5, batch), minval=-1.0, maxval=1.0)
    matrices = affine_matrices(
        jnp.deg2rad(rotate_degrees * draws[0]),
        1.0 + scale * draws[1],
        jnp.zeros(batch),
        jnp.tan(jnp.deg2rad(shear_degrees * draws[2])),
    )
    shifts = translate * draws[3:].T * jnp.array([height, width])
    return affine(images, matrices, shifts, nearest=nearest)
