"""Attention within windows of a map, and windows that are shifted (Liu et al. 2021).

"Swin transformer: hierarchical vision transformer using shifted windows", arXiv:2103.14030, sec.
3.2.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

_init = nn.initializers.truncated_normal(0.02)


class WindowAttention(nn.Module):
    """Multi-head attention among the positions of each window, with a relative position bias.

    A map that windows do not divide is padded below and to the right. Padding is a region of its
    own, and so are the parts of the map that a shift wraps around: no position attends to one of
    another region. A map of one window is not shifted, as in the authors' code.

    Attributes:
      heads: must divide the channels.
      window: height and width of a window in positions.
      shift: by how much windows are moved down and right; they wrap around.
    """

    heads: int
    window: int
    shift: int = 0
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to the same shape."""
        _, height, width, channels = x.shape
        window = self.window
        padded = tuple(-(-extent // window) * window for extent in (height, width))
        shift = self.shift if max(padded) > window else 0
        x = jnp.pad(x, ((0, 0), (0, padded[0] - height), (0, padded[1] - width), (0, 0)))
        x = split_windows(jnp.roll(x, (-shift, -shift), (1, 2)), window)

        def project(name: str) -> jax.Array:
            shape = (self.heads, channels // self.heads)
            return nn.DenseGeneral(shape, kernel_init=_init, dtype=self.dtype, name=name)(x)

        table = self.param("position_bias", _init, ((2 * window - 1) ** 2, self.heads))
        mask = window_mask((height, width), window, shift)
        y = nn.dot_product_attention(
            project("query"),
            project("key"),
            project("value"),
            bias=relative_bias(table, window).astype(self.dtype),
            mask=None if mask.all() else mask[:, None],
            dtype=self.dtype,
            force_fp32_for_softmax=True,
        )
        y = nn.DenseGeneral(channels, (-2, -1), kernel_init=_init, dtype=self.dtype, name="out")(y)
        y = jnp.roll(join_windows(y, padded), (shift, shift), (1, 2))
        return y[:, :height, :width]


def relative_bias(table: jax.Array, window: int) -> jax.Array:
    """What each head adds to the score of two positions, by their distance (eq. 4).

    Args:
      table: [(2 * window - 1)**2, heads], from the distance up and left to that down and right.
      window: height and width of a window.

    Returns:
      [heads, window**2, window**2] for a position that looks and one that is looked at.
    """
    rows, columns = (at.ravel() for at in np.indices((window, window)))
    down, right = (at[:, None] - at[None, :] + window - 1 for at in (rows, columns))
    return table[down * (2 * window - 1) + right].transpose(2, 0, 1)


def split_windows(x: jax.Array, window: int) -> jax.Array:
    """Maps [batch, height, width, c] to [batch, windows, window**2, c]."""
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height // window, window, width // window, window, channels)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, -1, window**2, channels)


def join_windows(windows: jax.Array, size: tuple[int, int]) -> jax.Array:
    """Undoes `split_windows`; `size` is the height and width of the map."""
    batch, _, area, channels = windows.shape
    window = round(area**0.5)
    rows, columns = size[0] // window, size[1] // window
    x = windows.reshape(batch, rows, columns, window, window, channels)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, *size, channels)


def window_mask(size: tuple[int, int], window: int, shift: int) -> np.ndarray:
    """Which positions of a window belong to one region of the map (fig. 4).

    Args:
      size: height and width of the map before padding.
      window: see `WindowAttention`.
      shift: see `WindowAttention`.

    Returns:
      bool [windows, window**2, window**2].
    """
    regions = []
    for extent in size:
        padded = -(-extent // window) * window
        position = (np.arange(padded) + shift) % padded
        # Those that came around the edge, and those behind the end of the map.
        wrapped = np.arange(padded) >= padded - shift
        regions.append(2 * wrapped + (position >= extent))
    region = 4 * regions[0][:, None] + regions[1][None, :]
    region = np.asarray(split_windows(region[None, :, :, None], window))[0, :, :, 0]
    return region[:, :, None] == region[:, None, :]
