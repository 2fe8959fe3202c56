"""Convolution with standardized kernels.

Qiao et al. 2019, "Micro-batch training with... weight standardization", arXiv:1903.10520.
"""

from typing import Any

import jax
import jax.numpy as jnp

from cnnlab.nn.conv import Conv, conv_general_dilated

_EPSILON = 1e-5


def standardize_kernel(kernel: jax.Array) -> jax.Array:
    """Standardizes the kernel of each output channel to mean 0 and variance 1.

    Args:
      kernel: [height, width, in, out]; moments are always computed in float32.
    """
    weights = kernel.astype(jnp.float32)
    axes = tuple(range(kernel.ndim - 1))
    mean = weights.mean(axes, keepdims=True)
    variance = weights.var(axes, keepdims=True)
    return ((weights - mean) * jax.lax.rsqrt(variance + _EPSILON)).astype(kernel.dtype)


def _standardized(lhs: jax.Array, rhs: jax.Array, *args: Any, **options: Any) -> jax.Array:
    return conv_general_dilated(lhs, standardize_kernel(rhs), *args, **options)


class StdConv(Conv):
    """`Conv` that standardizes its kernel at each application."""

    conv_general_dilated: Any = _standardized
