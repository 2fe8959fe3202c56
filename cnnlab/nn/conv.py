"""The convolution layer of all architectures: flax's, in a form that suits the shapes on CPU."""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from cnnlab.nn.banded import banded_conv
from cnnlab.nn.forms import matrix_forms

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
    """Does what `jax.lax.conv_general_dilated` does; see there for the arguments.

    On CPU, undilated 2-D convolutions of at most eight input channels are computed as one matrix
    product (`cnnlab.nn.banded`), made of plain operations: every kind of derivative and `vmap`
    work. All others, and all on other platforms, are lax's own.
    """
    few = lhs.shape[-1] <= _FEW_CHANNELS and matrix_forms() and not options
    if few and _is_plain(lhs, dimension_numbers, lhs_dilation, rhs_dilation, feature_group_count):
        pads = padding
        if isinstance(padding, str):
            pads = lax.padtype_to_pads(lhs.shape[1:3], rhs.shape[:2], window_strides, padding)
        zero = jnp.zeros((), lhs.dtype)
        lhs = lax.pad(lhs, zero, ((0, 0, 0), (*pads[0], 0), (*pads[1], 0), (0, 0, 0)))
        return banded_conv(lhs, rhs, tuple(window_strides), precision)
    return lax.conv_general_dilated(
        lhs,
        rhs,
        window_strides,
        padding,
        lhs_dilation,
        rhs_dilation,
        dimension_numbers,
        feature_group_count=feature_group_count,
        precision=precision,
        **options,
    )


def _is_plain(
    lhs: jax.Array,
    dimension_numbers: Any,
    lhs_dilation: Sequence[int] | None,
    rhs_dilation: Sequence[int] | None,
    feature_group_count: int,
) -> bool:
    """Whether this is a 2-D convolution of NHWC images with an HWIO kernel, and nothing more."""
    if lhs.ndim != 4 or feature_group_count != 1:
        return False
    if set(lhs_dilation or ()) - {1} or set(rhs_dilation or ()) - {1}:
        return False
    nhwc = lax.ConvDimensionNumbers((0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2))
    return dimension_numbers in (nhwc, ("NHWC", "HWIO", "NHWC"))


class Conv(nn.Conv):
    """`flax.linen.Conv` that computes with this module's `conv_general_dilated`."""

    conv_general_dilated: Any = conv_general_dilated
