"""The block of Swin transformers, and the downsampling between their stages."""

from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.nn.attention.transformer_mlp import TransformerMlp
from cnnlab.nn.attention.window_attention import WindowAttention

_init = nn.initializers.truncated_normal(0.02)
_EPSILON = 1e-5


class SwinBlock(nn.Module):
    """Two residual branches: norm and window attention, then norm and dense layers.

    Liu et al. 2021, arXiv:2103.14030, eqs. 1 to 4.

    Attributes:
      heads: number of attention heads.
      window: height and width of a window in positions.
      shift: number of positions by which the windows are shifted.
      mlp_ratio: width between the dense layers, in multiples of the channels.
      drop_path: builds stochastic depth for a branch; train or eval mode is already bound.
      mask_padding: whether padding is masked, as in `WindowAttention`.
      version: 2 puts the norms behind attention and dense layers and has `WindowAttention`'s
        `cosine` (Liu et al. 2022, arXiv:2111.09883, fig. 1).
      scale: factor of the products of queries and keys, as in `WindowAttention`.
      pretrained_window: window of an earlier training, as in `WindowAttention`.
    """

    heads: int
    window: int
    shift: int
    mlp_ratio: int
    drop_path: Callable[[], nn.Module]
    mask_padding: bool = True
    version: int = 1
    dtype: jnp.dtype = jnp.float32
    scale: float | None = None
    pretrained_window: int = 0

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to the same shape."""
        attention = WindowAttention(
            self.heads,
            self.window,
            self.shift,
            self.mask_padding,
            self.version == 2,
            self.dtype,
            self.scale,
            self.pretrained_window,
            name="attention",
        )
        mlp = TransformerMlp(
            self.mlp_ratio * x.shape[-1], kernel_init=_init, dtype=self.dtype, name="mlp"
        )
        for layer, name in ((attention, "attention_norm"), (mlp, "mlp_norm")):
            norm = nn.LayerNorm(_EPSILON, dtype=self.dtype, name=name)
            y = norm(layer(x)) if self.version == 2 else layer(norm(x))
            x = x + self.drop_path()(y)
        return x


class PatchMerging(nn.Module):
    """Merges 2x2 positions: halves height and width, doubles the channels.

    Liu et al. 2021, arXiv:2103.14030, sec. 3.1. Odd sizes are padded with zeros.

    Attributes:
      version: 2 normalises after the dense layer, 1 before it.
    """

    version: int = 1
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to [batch, height / 2, width / 2, 2 * c]."""
        channels = x.shape[-1]
        x = jnp.pad(x, ((0, 0), (0, x.shape[1] % 2), (0, x.shape[2] % 2), (0, 0)))
        corners = [x[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        x = jnp.concatenate(corners, axis=-1)
        norm = nn.LayerNorm(_EPSILON, dtype=self.dtype, name="norm")
        reduce = partial(nn.Dense, use_bias=False, kernel_init=_init, dtype=self.dtype)
        if self.version == 2:
            return norm(reduce(2 * channels, name="reduce")(x))
        return reduce(2 * channels, name="reduce")(norm(x))
