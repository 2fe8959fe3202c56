"""Transposed convolution: every input position lays its kernel down, scaled, and they add up.

Dumoulin & Visin 2016, arXiv:1603.07285, chapter 4; d2l.ai, sec. 14.10. It is the transpose of the
matrix of a convolution with the same kernel, stride and padding, and PyTorch's `ConvTranspose2d`.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


def conv_transpose(
    x: jax.Array, kernel: jax.Array, stride: int = 1, padding: int = 0, output_padding: int = 0
) -> jax.Array:
    """Position (i, j) of `x` adds `x[i, j] @ kernel[u, v]` to (i * stride + u, j * stride + v).

    Args:
      x: [batch, height, width, in], or with any other number of spatial axes.
      kernel: [kernel, kernel, in, out].
      stride: distance at which neighbours lay their kernels.
      padding: positions cut off on each side of the result.
      output_padding: positions that the last side keeps of what was cut off there.

    Returns:
      [batch, (height - 1) * stride + kernel - 2 * padding + output_padding, ..., out].
    """
    spatial = tuple(range(x.ndim - 2))
    flipped = jnp.flip(kernel, spatial)
    sides = [
        (extent - 1 - padding, extent - 1 - padding + output_padding)
        for extent in kernel.shape[:-2]
    ]
    axes = "DHW"[3 - len(spatial) :]
    return lax.conv_general_dilated(
        x,
        flipped,
        window_strides=(1,) * len(spatial),
        padding=sides,
        lhs_dilation=(stride,) * len(spatial),
        dimension_numbers=(f"N{axes}C", f"{axes}IO", f"N{axes}C"),
    )


def bilinear_init(key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
    """A kernel that makes a transposed convolution interpolate, channel by channel.

    With a kernel of 2 s - s % 2, a stride of s and a padding of (s - s % 2) / 2 the map is enlarged
    s times (Long et al. 2015, arXiv:1411.4038, sec. 3.3).

    Args:
      key: unused: there is nothing random.
      shape: [kernel, kernel, in, out]; channel i goes to channel i.
      dtype: of the kernel.
    """
    del key
    weights = np.ones(())
    for extent in shape[:-2]:
        half = (extent + 1) // 2
        center = half - 1 if extent % 2 else half - 0.5
        weights = np.multiply.outer(weights, 1 - np.abs(np.arange(extent) - center) / half)
    return jnp.asarray(weights[..., None, None] * np.eye(*shape[-2:]), dtype)


class ConvTranspose(nn.Module):
    """`conv_transpose` with a kernel and a bias that are learned.

    Attributes:
      features: channels of the result.
      kernel: extent of the kernel on each axis.
      stride: on each axis.
      padding: positions cut off on each side of the result.
      output_padding: positions added again on the last side.
      use_bias: whether a bias is added.
      kernel_init: e.g. `bilinear_init`.
    """

    features: int
    kernel: int = 2
    stride: int = 2
    padding: int = 0
    output_padding: int = 0
    use_bias: bool = True
    kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to [batch, about height * stride, ..., features]."""
        shape = (self.kernel,) * (x.ndim - 2) + (x.shape[-1], self.features)
        kernel = self.param("kernel", self.kernel_init, shape)
        y = conv_transpose(
            x.astype(self.dtype),
            kernel.astype(self.dtype),
            self.stride,
            self.padding,
            self.output_padding,
        )
        if not self.use_bias:
            return y
        bias = self.param("bias", nn.initializers.zeros_init(), (self.features,))
        return y + bias.astype(self.dtype)
