"""DropBlock (Ghiasi et al. 2018, "DropBlock: a regularization method...", arXiv:1810.12890)."""

import flax.linen as nn
import jax
import jax.numpy as jnp


class DropBlock(nn.Module):
    """Sets square blocks of a map to zero while training, and scales the rest (algorithm 1).

    Each channel has blocks of its own. Deviations: the scale is taken over each example, not over
    the batch, so that no example depends on another; blocks are no larger than the map.

    Attributes:
      rate: approximate share of positions to drop, in [0, 1); blocks may overlap.
      block_size: height and width of a block.
      deterministic: whether to return the input unchanged.
    """

    rate: float
    block_size: int = 7
    deterministic: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, channels] to the same shape; draws from the rng `dropout`."""
        if self.deterministic or self.rate == 0.0:
            return x
        batch, height, width, channels = x.shape
        block = min(self.block_size, height, width)
        # Corners of blocks, at all positions from which a whole block fits.
        rows, columns = height - block + 1, width - block + 1
        share = self.rate / block**2 * (height * width) / (rows * columns)
        corners = jax.random.bernoulli(
            self.make_rng("dropout"), share, (batch, rows, columns, channels)
        )
        # A maximum over rows, then columns, is the block's with a fraction of the comparisons.
        edge, none = (block - 1, block - 1), (0, 0)
        dropped = nn.max_pool(corners.astype(x.dtype), (block, 1), padding=(edge, none))
        kept = 1.0 - nn.max_pool(dropped, (1, block), padding=(none, edge))
        share_kept = kept.astype(jnp.float32).mean(axis=(1, 2, 3), keepdims=True)
        scale = 1.0 / jnp.maximum(share_kept, 1.0 / (height * width * channels))
        return x * kept * scale.astype(x.dtype)
