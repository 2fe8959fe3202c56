"""Depthwise convolutions, for which XLA's CPU compiler has no fast routines."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

from cnnlab.nn.cpu_kernels.shifts import cuts, offsets, phases


def depthwise_conv(
    x: jax.Array, kernel: jax.Array, strides: Sequence[int], dilation: Sequence[int]
) -> jax.Array:
    """Depthwise convolution as a sum of shifted images, each times one weight per channel.

    At [8, 32, 32, 96] and 3x3, forward and backward take 5 ms so, and 73 with XLA's convolution
    (benchmarks/conv_forms.py, with the gradients that JAX derives from the sum). The gradient of
    the images has the same form, with strides for each phase of the pixels apart: derived from the
    sum, it adds an image for each weight, padded between its pixels. The gradient of the kernel
    runs over rows, so that products of images and cotangents stay in the processor's cache: derived
    from the sum, it holds an array as large as the output for each weight. ConvNeXt-T's training
    step takes 2,521 MiB so in place of 4,427 (benchmarks/README.md).

    Args:
      x: [batch, height, width, channels], already padded.
      kernel: [kernel height, kernel width, 1, channels * multiplier].
      strides: strides along rows and columns.
      dilation: dilation of the kernel along rows and columns.
    """
    channels, features = x.shape[-1], kernel.shape[-1]
    if features > channels:
        x = jnp.repeat(x, features // channels, axis=-1)
    # Sums of many terms want more bits than images may have.
    wide = jnp.promote_types(x.dtype, jnp.float32)
    y = _conv(x.astype(wide), kernel[:, :, 0].astype(wide), tuple(strides), tuple(dilation))
    return y.astype(x.dtype)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def _conv(
    x: jax.Array, kernel: jax.Array, strides: tuple[int, int], dilation: tuple[int, int]
) -> jax.Array:
    """The sum; `kernel` is [kernel height, kernel width, channels]."""
    return sum(
        part * weight
        for part, weight in zip(
            cuts(x, kernel.shape, strides, dilation), _weights(kernel), strict=True
        )
    )


@_conv.defjvp
def _conv_jvp(
    strides: tuple[int, int],
    dilation: tuple[int, int],
    primals: tuple[jax.Array, jax.Array],
    tangents: tuple[jax.Array, jax.Array],
) -> tuple[jax.Array, jax.Array]:
    """Tangents as expressions whose transposes are the gradients' fast forms.

    JAX derives a gradient by transposing its tangent, step by step; plain operations have every
    other derivative, too.
    """
    (x, kernel), (x_dot, kernel_dot) = primals, tangents
    if strides == (1, 1):
        of_x = _cropped_sum(x_dot, kernel, dilation)
    elif dilation == (1, 1):
        of_x = _sum_of_phases(x_dot, kernel, strides)
    else:
        of_x = _conv(x_dot, kernel, strides, dilation)
    # Rows of a population are computed so on accelerators too, where a loop would be slow.
    by_rows = jax.default_backend() == "cpu"
    of_kernel = (_rows if by_rows else _conv)(x, kernel_dot, strides, dilation)
    return _conv(x, kernel, strides, dilation), of_x + of_kernel


def _cropped_sum(x: jax.Array, kernel: jax.Array, dilation: tuple[int, int]) -> jax.Array:
    """The same sum of images that are padded, not cut, and cropped once they are added.

    Its transpose pads a cotangent once and adds cuts of it.
    """
    spans = [step * (taps - 1) for taps, step in zip(kernel.shape, dilation, strict=False)]
    zero = jnp.zeros((), x.dtype)
    total = sum(
        lax.pad(
            x * weight,
            zero,
            ((0, 0, 0), (spans[0] - top, top, 0), (spans[1] - left, left, 0), (0, 0, 0)),
        )
        for weight, (top, left) in zip(
            _weights(kernel), offsets(kernel.shape, dilation), strict=True
        )
    )
    rows, columns = spans
    return total[:, rows : x.shape[1], columns : x.shape[2]]


def _sum_of_phases(x: jax.Array, kernel: jax.Array, strides: tuple[int, int]) -> jax.Array:
    """The same sum: weights whose windows meet pixels of one phase are a convolution of stride 1.

    Its transpose interleaves the phases of the gradient.
    """
    height, width = (
        (extent - taps) // stride + 1
        for extent, taps, stride in zip(x.shape[1:3], kernel.shape, strides, strict=False)
    )
    total = 0
    for top, row in enumerate(phases(x, strides)):
        for left, pixels in enumerate(row):
            weights = kernel[top :: strides[0], left :: strides[1]]
            if weights.size:
                total += _cropped_sum(pixels, weights, (1, 1))[:, :height, :width]
    return total


def _rows(
    x: jax.Array, kernel: jax.Array, strides: tuple[int, int], dilation: tuple[int, int]
) -> jax.Array:
    """The same sum, row by row.

    A transposed loop adds up the gradient of what all its turns share, here the kernel. The weights
    of a channel are repeated by a product with ones, whose transpose is a product too, which is
    faster than a sum over the first axes.
    """
    span = dilation[0] * (kernel.shape[0] - 1) + 1
    height = (x.shape[1] - span) // strides[0] + 1

    # Otherwise each turn's rows of `x` would be kept, and the transposed loop reads them from `x`.
    @functools.partial(jax.checkpoint, prevent_cse=False)
    def row(kernel: jax.Array, x: jax.Array, number: jax.Array) -> jax.Array:
        rows = lax.dynamic_slice_in_dim(x, number * strides[0], span, axis=1)
        parts = cuts(rows, kernel.shape, strides, dilation)
        shape = parts[0].shape
        ones = jnp.ones((shape[0] * shape[2], 1), x.dtype)
        return sum(
            part * (ones @ weight[None]).reshape(shape)
            for part, weight in zip(parts, _weights(kernel), strict=True)
        )

    _, rows = lax.scan(lambda _, number: (None, row(kernel, x, number)), None, jnp.arange(height))
    return rows[:, :, 0].swapaxes(0, 1)


def _weights(kernel: jax.Array) -> list[jax.Array]:
    """The weights [channels] in the order of `offsets`.

    Split, as that has one concatenation for its gradient; indices have a padded array each.
    """
    flat = kernel.reshape(-1, kernel.shape[-1])
    return [row[0] for row in lax.split(flat, (1,) * len(flat))]
