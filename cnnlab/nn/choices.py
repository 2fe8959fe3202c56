"""Layers by name: normalization, activation, pooling.

A network takes the name as an attribute, e.g. `norm="group"`, and turns it into a layer once, at
the top of its `__call__`.
"""

from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.errors import UserError, did_you_mean
from cnnlab.nn.cpu_kernels.activations import gelu, silu
from cnnlab.nn.norm import BatchNorm, GroupNorm
from cnnlab.nn.pool import avg_pool, max_pool

Activation = Callable[[jax.Array], jax.Array]

ACTIVATIONS: dict[str, Activation] = {
    "relu": nn.relu,
    "relu6": nn.relu6,
    "gelu": gelu,
    "silu": silu,
    "hard_swish": nn.hard_swish,
    "leaky_relu": nn.leaky_relu,
    "elu": nn.elu,
    "sigmoid": nn.sigmoid,
    "tanh": nn.tanh,
}
NORMS = ("batch", "layer", "group", "none")
POOLS = {"avg": avg_pool, "max": max_pool}


def make_activation(name: str) -> Activation:
    """Returns the activation called `name`, e.g. `relu`; raises `UserError` for others."""
    if name not in ACTIVATIONS:
        raise UserError(f"Unknown activation '{name}'.{did_you_mean(name, ACTIVATIONS)}")
    return ACTIVATIONS[name]


def make_pool(name: str) -> Callable[..., jax.Array]:
    """Returns the pooling function `avg` or `max`, with flax.linen's arguments."""
    if name not in POOLS:
        raise UserError(f"Unknown pooling '{name}'.{did_you_mean(name, POOLS)}")
    return POOLS[name]


class Identity(nn.Module):
    """Returns its input: the normalization called `none`."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return x


def make_norm(
    name: str,
    *,
    train: bool,
    dtype: jnp.dtype = jnp.float32,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    groups: int = 32,
) -> Callable[..., nn.Module]:
    """Returns a constructor of normalization layers with train or eval mode bound.

    Args:
      name: `batch` (Ioffe & Szegedy 2015), `layer` (Ba et al. 2016, over the channels at each
        position, as ConvNeXt has it), `group` (Wu & He 2018) or `none`.
      train: batch norm uses the batch's statistics and updates its running ones.
      dtype: dtype of the output; statistics are always computed in float32.
      epsilon: added to the variance.
      momentum: weight of the old running statistics in an update (1 minus PyTorch's).
      groups: for `group`; layers with a width that it does not divide use the nearest smaller
        divisor.
    """
    if name not in NORMS:
        raise UserError(f"Unknown norm '{name}'.{did_you_mean(name, NORMS)}")
    if name == "batch":
        return partial(
            BatchNorm,
            use_running_average=not train,
            momentum=momentum,
            epsilon=epsilon,
            dtype=dtype,
        )
    if name == "layer":
        return partial(nn.LayerNorm, epsilon=epsilon, dtype=dtype)
    if name == "group":
        return partial(_GroupNorm, max_groups=groups, epsilon=epsilon, dtype=dtype)
    return Identity


class _GroupNorm(nn.Module):
    """Group norm with at most `max_groups` groups, of equal size whatever the width."""

    max_groups: int
    epsilon: float
    dtype: jnp.dtype
    scale_init: Callable = nn.initializers.ones_init()

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        groups = next(g for g in range(self.max_groups, 0, -1) if x.shape[-1] % g == 0)
        return GroupNorm(
            groups, epsilon=self.epsilon, dtype=self.dtype, scale_init=self.scale_init, name="group"
        )(x)
