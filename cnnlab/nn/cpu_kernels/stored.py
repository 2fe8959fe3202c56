"""Values that XLA's CPU compiler stores once, in place of computing them again for each use."""

import jax
import jax.numpy as jnp
from jax import lax


def stored(x: jax.Array) -> jax.Array:
    """Returns `x`; on CPU, where derivatives are taken, XLA stores it and its gradient.

    What is read often is computed often otherwise: the gradient of a convolution's kernel reads the
    activation transposed, and each weight of a depthwise convolution reads images and cotangent
    again. XLA's fusion computes what is cheap (batch norm's scale, ReLU, sums of residual branches,
    gradients of them) again inside of each, in the transpose with memory walked badly. It does not
    repeat a division. The one here is by 1, so it is exact; the barrier hides the 1 from the
    simplifier, and is gone before fusion.

    Args:
      x: floats of any shape.
    """
    return _stored(x) if jax.default_backend() == "cpu" else x


@jax.custom_jvp
def _stored(x: jax.Array) -> jax.Array:
    return x


@_stored.defjvp
def _stored_jvp(
    primals: tuple[jax.Array], tangents: tuple[jax.Array]
) -> tuple[jax.Array, jax.Array]:
    (x,), (tangent,) = primals, tangents
    one = lax.optimization_barrier(jnp.ones((), x.dtype))
    return x / one, tangent / one
