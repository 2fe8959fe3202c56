"""Convolution, normalization and activation: the unit that most architectures repeat."""

from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.nn.choices import Activation, Identity
from cnnlab.nn.conv import Conv

he_init = nn.initializers.variance_scaling(2.0, "fan_out", "normal")


class ConvNormAct(nn.Module):
    """Convolution, normalization and activation.

    Attributes:
      features: channels of the output.
      kernel: size of the kernel on each axis of the map, or one for all.
      stride: distance of neighbouring outputs, the same on all axes.
      padding: pixels on each side, pairs for each axis, or `SAME`; None keeps the size at stride 1.
      dilation: distance of the kernel's weights in pixels (atrous convolution).
      groups: number of channel groups; `features` for a depthwise convolution.
      norm: builds a normalization layer, e.g. from `cnnlab.nn.choices.make_norm`.
      activation: elementwise function; None applies none.
      use_bias: None gives the convolution a bias only where no norm follows.
      norm_place: `before` or `after` the activation. Ioffe & Szegedy 2015, arXiv:1502.03167, sec.
        3.2, put it before; Mishkin et al. 2016, arXiv:1606.02228, sec. 3.4, measured both.
    """

    features: int
    kernel: int | Sequence[int] = 3
    stride: int = 1
    padding: int | str | Sequence[tuple[int, int]] | None = None
    dilation: int = 1
    groups: int = 1
    norm: Callable[..., nn.Module] = Identity
    activation: Activation | None = nn.relu
    use_bias: bool | None = None
    norm_place: str = "before"
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to [batch, about height / stride, ..., features].

        Volumes [batch, depth, height, width, c] are convolved on all three axes.
        """
        kernel = self.kernel
        kernel = (kernel,) * (x.ndim - 2) if isinstance(kernel, int) else tuple(kernel)
        padding = self.padding
        if padding is None:
            padding = [(self.dilation * (size // 2),) * 2 for size in kernel]
        x = Conv(
            self.features,
            kernel,
            self.stride,
            padding=padding,
            kernel_dilation=self.dilation,
            feature_group_count=self.groups,
            use_bias=self.norm is Identity if self.use_bias is None else self.use_bias,
            kernel_init=he_init,
            dtype=self.dtype,
            name="conv",
        )(x)
        norm = self.norm(name="norm")
        activation = self.activation or (lambda y: y)
        return activation(norm(x)) if self.norm_place == "before" else norm(activation(x))
