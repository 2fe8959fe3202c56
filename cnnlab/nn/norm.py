"""Batch and group normalization of all architectures: flax's, with faster forms on CPU.

There, each value is multiplied and has something added; flax's subtract the mean first. That
difference has many readers, so XLA stores it, and yet more for the gradient (times of whole steps
are in benchmarks/README.md). PyTorch's CPU kernels have the same form. It is as exact as flax's,
whose variance is a difference of squares, as it is here (tests/nn/test_norm.py, with means of up to
a hundred deviations). Layer norm gains nothing so; it is flax's.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from cnnlab.nn.cpu_kernels.switch import cpu_kernels_enabled


class BatchNorm(nn.BatchNorm):
    """`flax.linen.BatchNorm` of the last axis (Ioffe & Szegedy 2015, arXiv:1502.03167).

    Raises:
      ValueError: `axis`, `axis_index_groups`, `use_fast_variance` or `force_float32_reductions` is
        not flax's default.
    """

    def __post_init__(self) -> None:
        _refuse_other_options(self, "axis", "axis_index_groups")
        super().__post_init__()

    @nn.compact
    def __call__(self, x: jax.Array, use_running_average: bool | None = None) -> jax.Array:
        """Normalizes.

        Args:
          x: [..., channels].
          use_running_average: whether to use the running statistics, not those of `x`; the field of
            the same name where None.

        Returns:
          [..., channels] in `dtype`, or the type that flax derives from `x` and the parameters.
        """
        if not cpu_kernels_enabled():
            return super().__call__(x, use_running_average)
        frozen = nn.merge_param(
            "use_running_average", self.use_running_average, use_running_average
        )
        shape = x.shape[-1:]
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, shape, jnp.float32)
        running_var = self.variable("batch_stats", "var", jnp.ones, shape, jnp.float32)
        if frozen:
            mean, var = running_mean.value, running_var.value
        else:
            axis_name = None if self.is_initializing() else self.axis_name
            mean, var = _statistics(self, x, tuple(range(x.ndim - 1)), axis_name)
            if not self.is_initializing():
                for running, value in ((running_mean, mean), (running_var, var)):
                    running.value = self.momentum * running.value + (1 - self.momentum) * value
        return _normalized_by_channel(self, x, mean, var)


class GroupNorm(nn.GroupNorm):
    """`flax.linen.GroupNorm` of groups of channels (Wu & He 2018, arXiv:1803.08494).

    Raises:
      ValueError: `reduction_axes`, `axis_name`, `axis_index_groups`, `use_fast_variance` or
        `force_float32_reductions` is not flax's default.
    """

    def __post_init__(self) -> None:
        _refuse_other_options(self, "reduction_axes", "axis_name", "axis_index_groups")
        super().__post_init__()

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Normalizes.

        Args:
          x: [batch, ..., channels], of which the number of groups is a divisor.

        Returns:
          [batch, ..., channels] in `dtype`, or the type that flax derives from `x` and the
          parameters.
        """
        if not cpu_kernels_enabled() or self.group_size is not None:
            return super().__call__(x)
        groups, size = self.num_groups, x.shape[-1] // self.num_groups
        grouped = x.reshape(*x.shape[:-1], groups, size)
        axes = (*range(1, x.ndim - 1), x.ndim)
        mean, var = (
            jnp.repeat(value, size, axis=-1).reshape(-1, *(1,) * (x.ndim - 2), x.shape[-1])
            for value in _statistics(self, grouped, axes)
        )
        return _normalized_by_channel(self, x, mean, var)


def _statistics(
    module: Any, x: jax.Array, axes: tuple[int, ...], axis_name: str | None = None
) -> tuple[jax.Array, jax.Array]:
    """Mean and variance over some axes, and over the devices of `axis_name`."""
    dtype = x.dtype if module.dtype is None else module.dtype
    wide = x.astype(jnp.promote_types(dtype, jnp.float32))
    moments = wide.mean(axes), jnp.square(wide).mean(axes)
    mean, square = moments if axis_name is None else lax.pmean(moments, axis_name)
    # Rounding can make the difference negative.
    return mean, jnp.maximum(0.0, square - jnp.square(mean))


def _normalized_by_channel(module: Any, x: jax.Array, mean: jax.Array, var: jax.Array) -> jax.Array:
    """The statistics have the last axis of `x`."""
    scale, bias = _parameters(module, x.shape[-1:])
    factor = lax.rsqrt(var + module.epsilon)
    factor = factor if scale is None else factor * scale
    shift = -mean * factor
    shift = shift if bias is None else shift + bias
    return _in_dtype(module, x * factor + shift, x, scale, bias)


def _parameters(module: Any, shape: tuple[int, ...]) -> tuple[jax.Array | None, jax.Array | None]:
    """Scale and bias, None if the layer has none."""
    scale = bias = None
    if module.use_scale:
        scale = module.param("scale", module.scale_init, shape, module.param_dtype)
    if module.use_bias:
        bias = module.param("bias", module.bias_init, shape, module.param_dtype)
    return scale, bias


def _in_dtype(module: Any, y: jax.Array, *inputs: jax.Array | None) -> jax.Array:
    given = [value for value in inputs if value is not None]
    return y.astype(nn.dtypes.canonicalize_dtype(*given, dtype=module.dtype))


def _refuse_other_options(module: Any, *names: str) -> None:
    """The forms here have not all of flax's options."""
    fields = type(module).__dataclass_fields__
    names = (*names, "use_fast_variance", "force_float32_reductions")
    other = [name for name in names if getattr(module, name) != fields[name].default]
    if other:
        kind = type(module).__name__
        raise ValueError(
            f"cnnlab's {kind} has flax's default of {', '.join(other)} only; use "
            f"flax.linen.{kind} for others."
        )
