"""The convolution layer of all architectures: flax's, with faster forms on CPU."""

import functools
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from cnnlab.nn.cpu_kernels.banded import banded_conv
from cnnlab.nn.cpu_kernels.depthwise import depthwise_conv
from cnnlab.nn.cpu_kernels.grouped import block_conv
from cnnlab.nn.cpu_kernels.small_maps import is_small, small_conv
from cnnlab.nn.cpu_kernels.stored import stored
from cnnlab.nn.cpu_kernels.switch import cpu_kernels_enabled

# Of so few input channels the banded form is faster on CPU, forward and backward together: 28 ms
# against 5 for LeNet's first layer, 14 against 9 for its second (benchmarks/README.md).
_FEW_CHANNELS = 8


def conv_general_dilated(
    lhs: jax.Array,
    rhs: jax.Array,
    window_strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    feature_group_count: int = 1,
    precision: Any = None,
    **options: Any,
) -> jax.Array:
    """Equals `jax.lax.conv_general_dilated` and takes its arguments.

    On CPU, 2-D convolutions are computed in other forms where those are faster
    (`cnnlab.nn.cpu_kernels.switch`; times in benchmarks/README.md): with at most eight input
    channels as one matrix product (`cnnlab.nn.cpu_kernels.banded`), 1x1 as a plain matrix product,
    those of maps smaller than the kernel by dense ones (`cnnlab.nn.cpu_kernels.small_maps`),
    depthwise ones as sums of shifted images (`cnnlab.nn.cpu_kernels.depthwise`) and those of other
    groups in dense blocks (`cnnlab.nn.cpu_kernels.grouped`). They consist of plain operations, so
    all derivatives and `vmap` work. All other convolutions, and all other platforms, use lax's own;
    on CPU, training stores their inputs (`cnnlab.nn.cpu_kernels.stored`).
    """
    plain = functools.partial(
        lax.conv_general_dilated,
        window_strides=window_strides,
        padding=padding,
        lhs_dilation=lhs_dilation,
        rhs_dilation=rhs_dilation,
        dimension_numbers=dimension_numbers,
        precision=precision,
        **options,
    )
    groups, channels = feature_group_count, lhs.shape[-1]
    if options or not cpu_kernels_enabled() or not _is_nhwc(lhs, dimension_numbers, lhs_dilation):
        return plain(lhs, rhs, feature_group_count=groups)
    if 1 < groups < channels:
        conv = functools.partial(conv_general_dilated, **plain.keywords)
        return block_conv(conv, lhs, rhs, groups)
    dilation = tuple(rhs_dilation or (1, 1))
    few = channels <= _FEW_CHANNELS and dilation == (1, 1)
    pointwise = rhs.shape[:2] == (1, 1)
    if groups == 1 and not few and not pointwise:
        strides, sides = tuple(window_strides), _sides(lhs, rhs, window_strides, padding, dilation)
        if dilation == (1, 1) and is_small(lhs, rhs, strides, sides):
            return small_conv(lhs, rhs, strides, sides, precision)
        return plain(stored(lhs), rhs)
    padded = _pad(lhs, rhs, window_strides, padding, dilation)
    if groups > 1:
        # Each of its weights reads the images and the cotangent again.
        return stored(depthwise_conv(stored(padded), rhs, window_strides, dilation))
    if few:
        return banded_conv(padded, rhs, tuple(window_strides), precision)
    kept = padded[:, :: window_strides[0], :: window_strides[1]]
    # Two axes, as XLA's product for the gradient of the kernel reads them: of four, it first writes
    # the cotangent in another order, and ResNet-50's step takes 1.14 times as long
    # (benchmarks/README.md).
    pixels = kept.reshape(-1, channels)
    y = jnp.matmul(pixels, rhs[0, 0], precision=precision)
    return y.reshape(*kept.shape[:-1], rhs.shape[-1])


def _is_nhwc(lhs: jax.Array, dimension_numbers: Any, lhs_dilation: Sequence[int] | None) -> bool:
    """Whether this is a 2-D convolution of NHWC images, not dilated, with an HWIO kernel."""
    nhwc = lax.ConvDimensionNumbers((0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2))
    known = dimension_numbers in (nhwc, ("NHWC", "HWIO", "NHWC"))
    return lhs.ndim == 4 and known and not set(lhs_dilation or ()) - {1}


def _pad(
    x: jax.Array,
    kernel: jax.Array,
    strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    dilation: tuple[int, int],
) -> jax.Array:
    """Pads with zeros."""
    rows, columns = _sides(x, kernel, strides, padding, dilation)
    zero = jnp.zeros((), x.dtype)
    return lax.pad(x, zero, ((0, 0, 0), (*rows, 0), (*columns, 0), (0, 0, 0)))


def _sides(
    x: jax.Array,
    kernel: jax.Array,
    strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    dilation: tuple[int, int],
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Rows above and below, columns before and behind."""
    if isinstance(padding, str):
        spans = [
            (taps - 1) * step + 1 for taps, step in zip(kernel.shape[:2], dilation, strict=True)
        ]
        padding = lax.padtype_to_pads(x.shape[1:3], spans, strides, padding)
    rows, columns = padding
    return tuple(rows), tuple(columns)


class Conv(nn.Conv):
    """`flax.linen.Conv` that computes with this module's `conv_general_dilated`."""

    conv_general_dilated: Any = conv_general_dilated
