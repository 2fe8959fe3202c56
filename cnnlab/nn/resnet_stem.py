"""First layers of ResNets and their kin."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.errors import UserError
from cnnlab.nn.choices import Activation
from cnnlab.nn.conv import Conv
from cnnlab.nn.conv_norm_act import he_init

# Channels of the three convolutions, in eighths of the stem's.
_DEEP = {"deep": (4, 4, 8), "tiered": (3, 4, 8)}
# Stems that max pooling follows.
POOLED_STEMS = ("imagenet", *_DEEP)
_KNOWN = {
    "imagenet": "7x7/2",
    "deep": "three of 3x3",
    "tiered": "the same, the first narrower",
    "cifar": "3x3/1",
}


def apply_stem(
    images: jax.Array,
    stem: str,
    width: int,
    *,
    norm: Callable[..., nn.Module],
    activation: Activation,
    use_bias: bool = False,
    dtype: jnp.dtype = jnp.float32,
) -> jax.Array:
    """Applies the convolutions of a stem with norms and activations, in the calling module.

    Args:
      images: [batch, height, width, channels].
      stem: `imagenet` (7x7 stride 2), `deep` or `tiered` (3x3 stride 2 and two of 3x3; He et al.
        2018, arXiv:1812.01187, sec. 4.2, ResNet-C; tiered as in timm, with 3/8 of the channels
        instead of half in the first) or `cifar` (3x3 stride 1).
      width: channels of the result.
      norm: builds a normalization layer; train or eval mode is already bound.
      activation: activation after each norm.
      use_bias: whether the convolution of `imagenet` and `cifar` has a bias.
      dtype: dtype of the computation.

    Returns:
      [batch, height, width, width], at half the size but for `cifar`.
    """
    if stem not in _DEEP:
        x = stem_conv(stem, width, use_bias=use_bias, dtype=dtype)(images)
        return activation(norm(name="stem_norm")(x))
    x = images
    for number, eighths in enumerate(_DEEP[stem], start=1):
        x = Conv(
            width * eighths // 8,
            (3, 3),
            2 if number == 1 else 1,
            padding=1,
            use_bias=False,
            kernel_init=he_init,
            dtype=dtype,
            name=f"stem_conv{number}",
        )(x)
        x = activation(norm(name=f"stem_norm{number}")(x))
    return x


def stem_conv(stem: str, width: int, *, use_bias: bool = False, dtype: jnp.dtype) -> nn.Module:
    """Returns the only convolution of a stem: 7x7 with stride 2 for `imagenet`, 3x3 for `cifar`."""
    kernel, stride = (7, 2) if stem == "imagenet" else (3, 1)
    return Conv(
        width,
        (kernel, kernel),
        stride,
        padding=kernel // 2,
        use_bias=use_bias,
        kernel_init=he_init,
        dtype=dtype,
        name="stem_conv",
    )


def stage_strides(stem: str, stages: int) -> tuple[int, ...]:
    """Returns the strides of the stem's map, if it is pooled afterwards, and of each stage."""
    first = (2, 4) if stem in POOLED_STEMS else (1,)
    return (*first, *(first[-1] * 2**stage for stage in range(1, stages)))


def check_stem(stem: str, *, known: tuple[str, ...] = tuple(_KNOWN)) -> tuple[int, str]:
    """Returns the smallest image size and a hint for smaller ones; checks the stem's name.

    Args:
      stem: name of the stem.
      known: names of the stems that the network can have.
    """
    if stem not in known:
        choices = [f"{name} ({_KNOWN[name]})" for name in known]
        listed = f"{', '.join(choices[:-1])} or {choices[-1]}"
        raise UserError(f"Unknown stem '{stem}': choose {listed}.")
    # Below 33 pixels a stem that pools leaves the last stage one pixel: it would run, and learn
    # little. That is a silent loss; ask for the cifar stem instead.
    return (33, ", or model.options.stem=cifar") if stem in POOLED_STEMS else (8, "")
