"""The 3x3 convolutions of Res2Net (Gao et al. 2019, arXiv:1904.01169, sec. 3.1)."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.nn.choices import Activation
from cnnlab.nn.pool import avg_pool_padded


def apply_multi_scale_conv(
    x: jax.Array,
    scale: int,
    *,
    conv: Callable[[int, str], nn.Module],
    norm: Callable[..., nn.Module],
    activation: Activation,
    separate: bool = False,
    stride: int = 1,
    dilation: int = 1,
) -> jax.Array:
    """Convolves the parts of a map's channels one after the other, in the calling module.

    Each part but the first is added to the output for the part before it, so the receptive fields
    of the parts differ; the last part is passed on without a convolution.

    Args:
      x: [batch, height, width, c], with c a multiple of `scale`.
      scale: number of parts, at least 2; s in the paper.
      conv: builds a convolution from its channels and its name.
      norm: builds a normalization layer; train or eval mode is already bound.
      activation: activation after each norm.
      separate: whether no part is added to the one before, and the last is averaged over 3x3
        pixels, as in blocks that change the shape of their input (the authors' code).
      stride: stride of the convolutions and of that average.
      dilation: distance of the pixels that are averaged.

    Returns:
      [batch, height / stride, width / stride, c].
    """
    width = x.shape[-1] // scale
    # Slices, because receptive fields are known of these and not of `jnp.split`.
    *parts, last = (x[..., i * width : (i + 1) * width] for i in range(scale))
    outputs = []
    for number, part in enumerate(parts, start=1):
        if outputs and not separate:
            part = part + outputs[-1]
        y = conv(width, f"conv2_{number}")(part)
        outputs.append(activation(norm(name=f"norm2_{number}")(y)))
    if separate:
        last = avg_pool_padded(last, 3, stride, dilation=dilation)
    return jnp.concatenate([*outputs, last], axis=-1)
