"""Activations in forms that XLA's CPU compiler computes in fewer passes over memory."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from cnnlab.nn.cpu_kernels.switch import cpu_kernels_enabled


def gelu(x: jax.Array) -> jax.Array:
    """GELU, not approximated (Hendrycks & Gimpel 2016, arXiv:1606.08415).

    On CPU by way of erf: JAX's erfc takes three passes over memory in place of one. Far below zero
    the result is then exact to 1e-7 of `x`, not of itself.
    """
    if not _in_other_form(x):
        return nn.gelu(x, approximate=False)
    return 0.5 * x * (1 + lax.erf(x * math.sqrt(0.5)))


def silu(x: jax.Array) -> jax.Array:
    """SiLU, also called swish: x * sigmoid(x) (Elfwing et al. 2017, arXiv:1702.03118)."""
    return _silu(x) if _in_other_form(x) else nn.silu(x)


@jax.custom_jvp
def _silu(x: jax.Array) -> jax.Array:
    """One pass; as a product with the sigmoid, XLA stores the sigmoid first."""
    return x / (1 + jnp.exp(-x))


@_silu.defjvp
def _silu_jvp(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    """The sigmoid by way of tanh: XLA would store an exponential that two passes share."""
    (x,), (tangent,) = primals, tangents
    sigmoid = 0.5 * (1 + lax.tanh(0.5 * x))
    return _silu(x), tangent * sigmoid * (1 + x * (1 - sigmoid))


def _in_other_form(x: jax.Array) -> bool:
    """In 16 bits the exponential overflows where the quotient still matters."""
    return cpu_kernels_enabled() and x.dtype == jnp.float32
