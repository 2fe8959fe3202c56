"""Transposed convolution: each input position adds its scaled kernel to the output.

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

from cnnlab.nn.conv import conv_general_dilated
from cnnlab.nn.cpu_kernels.switch import cpu_kernels_enabled


def conv_transpose(
    x: jax.Array, kernel: jax.Array, stride: int = 1, padding: int = 0, output_padding: int = 0
) -> jax.Array:
    """Position (i, j) of `x` adds `x[i, j] @ kernel[u, v]` to (i * stride + u, j * stride + v).

    Args:
      x: [batch, height, width, in], or with any other number of spatial axes.
      kernel: [kernel, kernel, in, out].
      stride: distance in the output between the kernels of neighbouring inputs.
      padding: positions cut off on each side of the result.
      output_padding: positions on the last side that are kept although `padding` cuts them off.

    Returns:
      [batch, (height - 1) * stride + kernel - 2 * padding + output_padding, ..., out].
    """
    if stride > 1 and cpu_kernels_enabled():
        return _by_blocks(x, kernel, stride, padding, output_padding)
    spatial = tuple(range(x.ndim - 2))
    flipped = jnp.flip(kernel, spatial)
    sides = [
        (extent - 1 - padding, extent - 1 - padding + output_padding)
        for extent in kernel.shape[:-2]
    ]
    return lax.conv_general_dilated(
        x,
        flipped,
        window_strides=(1,) * len(spatial),
        padding=sides,
        lhs_dilation=(stride,) * len(spatial),
        dimension_numbers=_layout(len(spatial)),
    )


def _by_blocks(
    x: jax.Array, kernel: jax.Array, stride: int, padding: int, output_padding: int
) -> jax.Array:
    """The same as a convolution whose channels are then laid out as blocks of stride x stride.

    Shi et al. 2016, arXiv:1609.07009. XLA's CPU compiler has no fast routine for the gradient of
    the other form with respect to its kernel: 2x2 with stride 2 at [2, 64, 64, 128] takes 32 ms
    forward and backward with this one, and 889 with that (benchmarks/conv_forms.py).
    """
    axes = x.ndim - 2
    taps = [-(-extent // stride) for extent in kernel.shape[:-2]]  # positions that meet in a block
    missing = [t * stride - extent for t, extent in zip(taps, kernel.shape[:-2], strict=True)]
    kernel = jnp.pad(kernel, [*((0, m) for m in missing), (0, 0), (0, 0)])
    inputs, outputs = kernel.shape[-2:]
    # [taps, offset in the block, taps, offset, ..., in, out] to [taps ..., in, offsets ..., out].
    kernel = kernel.reshape(*(size for t in taps for size in (t, stride)), inputs, outputs)
    order = [*range(0, 2 * axes, 2), 2 * axes, *range(1, 2 * axes, 2), 2 * axes + 1]
    kernel = kernel.transpose(order).reshape(*taps, inputs, -1)
    # Padded first: for the gradient of the kernel, XLA would exchange a cotangent that is larger
    # than the image with it, and turn both round, for which it has no fast routine either.
    reach = [(t - 1, t - 1, 0) for t in taps]
    padded = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *reach, (0, 0, 0)])
    blocks = conv_general_dilated(
        padded,
        jnp.flip(kernel, tuple(range(axes))),
        (1,) * axes,
        [(0, 0)] * axes,
        dimension_numbers=_layout(axes),
    )
    extents = blocks.shape[1:-1]
    y = blocks.reshape(x.shape[0], *extents, *(stride,) * axes, outputs)
    order = [0, *(axis for a in range(axes) for axis in (1 + a, 1 + axes + a)), 1 + 2 * axes]
    y = y.transpose(order).reshape(x.shape[0], *(extent * stride for extent in extents), outputs)
    # What the other form has, from `padding` on; where that ends later, nothing was laid down.
    sides = [(-padding, output_padding - padding - m, 0) for m in missing]
    return lax.pad(y, jnp.zeros((), y.dtype), [(0, 0, 0), *sides, (0, 0, 0)])


def _layout(axes: int) -> tuple[str, str, str]:
    names = "DHW"[3 - axes :]
    return f"N{names}C", f"{names}IO", f"N{names}C"


def bilinear_init(key: jax.Array, shape: Sequence[int], dtype: Any = jnp.float32) -> jax.Array:
    """Kernel with which a transposed convolution interpolates each channel bilinearly.

    With kernel size 2 s - s % 2, stride s and padding (s - s % 2) / 2 the map is enlarged s
    times (Long et al. 2015, arXiv:1411.4038, sec. 3.3).

    Args:
      key: unused; the kernel is not random.
      shape: [kernel, kernel, in, out]; channel i goes to channel i.
      dtype: dtype of the kernel.
    """
    del key
    weights = np.ones(())
    for extent in shape[:-2]:
        half = (extent + 1) // 2
        center = half - 1 if extent % 2 else half - 0.5
        weights = np.multiply.outer(weights, 1 - np.abs(np.arange(extent) - center) / half)
    return jnp.asarray(weights[..., None, None] * np.eye(*shape[-2:]), dtype)


class ConvTranspose(nn.Module):
    """Transposed convolution with a trainable kernel and bias.

    Attributes:
      features: channels of the output.
      kernel: size of the kernel, the same on each axis.
      stride: factor by which each axis grows.
      padding: positions cut off on each side of the result.
      output_padding: positions added again on the last side.
      use_bias: whether a bias is added.
      kernel_init: initializer of the kernel, e.g. `bilinear_init`.
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
