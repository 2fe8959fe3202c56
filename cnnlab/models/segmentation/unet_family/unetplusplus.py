"""U-Net++ (Zhou et al. 2018, "UNet++: a nested U-Net architecture for...", arXiv:1807.10165).

Between encoder and decoder lies a triangle of nodes (fig. 1a): node (i, j) is on level i and takes
all earlier nodes of its level, and the upsampled node (i + 1, j - 1). With deep supervision (sec.
3.2) each of these nodes on the finest level has an output: all four are trained, and evaluation
gives the mean of their logits, the paper's accurate mode.

Deviations: batch norm after every convolution, and bilinear upsampling where the paper draws
transposed convolutions, as in the PyTorch ports in use; upsampled maps take the size of their
level, so any size works.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.models.segmentation.unet_family.unet import UNetEncoder
from cnnlab.models.segmenter import Segmenter
from cnnlab.nn.choices import make_activation, make_norm
from cnnlab.nn.conv import Conv
from cnnlab.nn.double_conv import DoubleConv
from cnnlab.nn.resize import resize_bilinear


class NestedDecoder(nn.Module):
    """The triangle of nodes between the encoder's maps and the logits.

    Attributes:
      num_classes: channels of the logits.
      deep_supervision: an output on each node of the finest level, not on the last alone.
      norm: `batch`, `layer`, `group` or `none`.
      activation: activation after each convolution.
    """

    num_classes: int
    deep_supervision: bool = False
    norm: str = "batch"
    activation: str = "relu"
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, features: tuple[jax.Array, ...], images: jax.Array, *, train: bool
    ) -> jax.Array:
        """Maps the encoder's maps to logits [batch, height, width, num_classes].

        With deep supervision, training puts the logits of the earlier nodes into the collection
        `aux_logits`.
        """
        nodes = [[x] for x in features]
        for column in range(1, len(features)):
            for level in range(len(features) - column):
                row = nodes[level]
                below = nodes[level + 1][column - 1]
                up = resize_bilinear(below, row[0].shape[1:3], align_corners=True)
                node = DoubleConv(
                    row[0].shape[-1],
                    norm=make_norm(self.norm, train=train, dtype=self.dtype),
                    activation=make_activation(self.activation),
                    use_bias=True,
                    dtype=self.dtype,
                    name=f"node{level + 1}_{column}",
                )
                row.append(node(jnp.concatenate([*row, up], axis=-1)))
        *earlier, last = nodes[0][1:]
        logits = self._logits("logits", last)
        if not self.deep_supervision:
            return logits
        others = [self._logits(f"logits{j}", node) for j, node in enumerate(earlier, start=1)]
        if not train:
            return jnp.stack([*others, logits]).mean(axis=0)
        for j, other in enumerate(others, start=1):
            self.sow("aux_logits", f"column{j}", other)
        return logits

    def _logits(self, name: str, x: jax.Array) -> jax.Array:
        layer = Conv(self.num_classes, (1, 1), dtype=self.dtype, name=name)
        return layer(x).astype(jnp.float32)


VARIANTS = {"unetplusplus": {}}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    width: int = 32,
    levels: int = 5,
    deep_supervision: bool = False,
    norm: str = "batch",
    activation: str = "relu",
) -> Segmenter:
    """Builds the network; `width` channels on the first level, twice as many on each later one."""
    widths = [width * 2**level for level in range(levels)]
    return Segmenter(
        UNetEncoder(widths, norm, activation, dtype=dtype, use_bias=True),
        NestedDecoder(num_classes, deep_supervision, norm, activation, dtype),
        min_size=2 ** (levels - 1),
        small_image_hint=", or a smaller model.options.levels",
        aux_weight=1.0,
    )
