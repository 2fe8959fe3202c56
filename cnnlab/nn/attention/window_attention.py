"""Attention within shifted windows of a map (Liu et al. 2021).

"Swin transformer: hierarchical vision transformer using shifted windows", arXiv:2103.14030, sec.
3.2.
"""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from cnnlab.nn.attention.self_attention import split_heads

_init = nn.initializers.truncated_normal(0.02)


class WindowAttention(nn.Module):
    """Multi-head attention among the positions of each window, with a relative position bias.

    A map that windows do not divide is padded below and to the right. The parts of the map that a
    shift wraps around are regions of their own: no position attends to one of another region. An
    axis with one window is not shifted.

    Attributes:
      heads: number of heads; must divide the channels.
      window: height and width of a window in positions.
      shift: positions by which windows are moved down and right; they wrap around.
      mask_padding: whether padding is a region of its own; in the authors' code, positions attend
        to it.
      cosine: whether scores are scaled cosines and a small network gives the position bias, as in
        version 2 (Liu et al. 2022, arXiv:2111.09883, secs. 3.2 and 3.3).
      scale: factor of the products of queries and keys; None is 1 over the root of a head's
        channels.
      pretrained_window: for `cosine`, the window whose largest distance is scaled to 8 before the
        logarithm; 0 is `window`. Weights that are trained further in larger windows keep that of
        their first training (appendix A.1).
    """

    heads: int
    window: int
    shift: int = 0
    mask_padding: bool = True
    cosine: bool = False
    dtype: jnp.dtype = jnp.float32
    scale: float | None = None
    pretrained_window: int = 0

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to the same shape."""
        size, window, channels = x.shape[1:3], self.window, x.shape[-1]
        padded = tuple(_padded(extent, window) for extent in size)
        shift = tuple(0 if extent == window else self.shift for extent in padded)
        sides = [(0, full - extent) for full, extent in zip(padded, size, strict=True)]
        x = jnp.pad(x, ((0, 0), *sides, (0, 0)))
        x = split_windows(jnp.roll(x, (-shift[0], -shift[1]), (1, 2)), window)
        dense = partial(nn.Dense, kernel_init=_init, dtype=self.dtype)
        if self.cosine:
            query, key, value = self._scaled_cosines(x, channels)
            table = self._continuous_bias()
        else:
            query, key, value = split_heads(dense(3 * channels, name="qkv")(x), self.heads)
            table = self.param("position_bias", _init, ((2 * window - 1) ** 2, self.heads))
        mask = window_mask(size, window, self.shift, mask_padding=self.mask_padding)
        attend = partial(
            jax.nn.dot_product_attention,
            bias=relative_bias(table, window)[None].astype(self.dtype),
            mask=None if mask.all() else jnp.asarray(mask[:, None]),
            scale=1.0 if self.cosine else self.scale,
        )
        # An image's windows are the batch of the attention, as each has a mask of its own.
        y = jax.vmap(attend)(query, key, value)
        y = dense(channels, name="out")(y.reshape(x.shape))
        y = jnp.roll(join_windows(y, padded), shift, (1, 2))
        return y[:, : size[0], : size[1]]

    def _scaled_cosines(
        self, x: jax.Array, channels: int
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Queries, keys and values whose products are cosines times a trainable scale (eq. 2)."""
        qkv = nn.Dense(3 * channels, False, kernel_init=_init, dtype=self.dtype, name="qkv")(x)
        bias = self.param("qkv_bias", nn.initializers.zeros_init(), (3 * channels,))
        # Keys have none; its place is kept, as in the authors' code.
        bias = bias.at[channels : 2 * channels].set(0.0)
        query, key, value = split_heads(qkv + bias.astype(self.dtype), self.heads)
        init = nn.initializers.constant(np.log(10.0))
        scale = self.param("logit_scale", init, (self.heads, 1, 1))
        scale = jnp.exp(jnp.minimum(scale, np.log(100.0))).reshape(self.heads, 1)
        query, key = (_unit(y.astype(jnp.float32)) for y in (query, key))
        return (query * scale).astype(self.dtype), key.astype(self.dtype), value

    def _continuous_bias(self) -> jax.Array:
        """Bias of each distance in a window, from its logarithm (eqs. 3 and 4, and appendix)."""
        reach = self.window - 1
        distances = np.stack(np.mgrid[-reach : reach + 1, -reach : reach + 1], axis=-1)
        logs = log_distances(distances, (self.pretrained_window or self.window) - 1)
        hidden = nn.relu(nn.Dense(512, kernel_init=_init, name="bias_hidden")(logs))
        bias = nn.Dense(self.heads, False, kernel_init=_init, name="bias")(hidden)
        return 16.0 * nn.sigmoid(bias).reshape(-1, self.heads)


def log_distances(distances: np.ndarray, reach: int) -> np.ndarray:
    """Distances on a logarithmic scale; before the logarithm, the largest is scaled to 8.

    Args:
      distances: signed distances in positions, integers of any shape.
      reach: the distance that is scaled to 8, the largest in a window.
    """
    scaled = 8.0 * distances.astype(np.float32) / max(1, reach)
    return (np.sign(scaled) * np.log2(np.abs(scaled) + 1.0) / 3.0).astype(np.float32)


def _unit(x: jax.Array) -> jax.Array:
    """Scales vectors to length 1, with a finite gradient also at the zero vector (padding)."""
    return x * jax.lax.rsqrt(jnp.maximum(jnp.square(x).sum(axis=-1, keepdims=True), 1e-24))


def _padded(extent: int, window: int) -> int:
    return -(-extent // window) * window


def relative_bias(table: jax.Array, window: int) -> jax.Array:
    """Bias that each head adds to the score of two positions, by their offset (eq. 4).

    Args:
      table: [(2 * window - 1)**2, heads], from the distance up and left to that down and right.
      window: height and width of a window.

    Returns:
      [heads, window**2, window**2], indexed by head, query and key.
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
    """Inverse of `split_windows`; `size` is the height and width of the map."""
    batch, _, area, channels = windows.shape
    window = round(area**0.5)
    rows, columns = size[0] // window, size[1] // window
    x = windows.reshape(batch, rows, columns, window, window, channels)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(batch, *size, channels)


def window_mask(
    size: tuple[int, int], window: int, shift: int, *, mask_padding: bool = True
) -> np.ndarray:
    """Which positions of a window belong to one region of the map (fig. 4).

    Args:
      size: height and width of the map before padding.
      window: height and width of a window in positions.
      shift: positions by which windows are shifted.
      mask_padding: whether padding is a region of its own.

    Returns:
      bool [windows, window**2, window**2].
    """
    regions = []
    for extent in size:
        padded = _padded(extent, window)
        moved = 0 if padded == window else shift
        position = (np.arange(padded) + moved) % padded
        # Those that came around the edge, and those behind the end of the map.
        wrapped = np.arange(padded) >= padded - moved
        regions.append(2 * wrapped + ((position >= extent) & mask_padding))
    region = 4 * regions[0][:, None] + regions[1][None, :]
    region = np.asarray(split_windows(region[None, :, :, None], window))[0, :, :, 0]
    return region[:, :, None] == region[:, None, :]
