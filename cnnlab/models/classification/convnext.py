"""ConvNeXt (Liu et al. 2022, "A ConvNet for the 2020s", arXiv:2201.03545).

`convnextv2_*` are those of ConvNeXt V2 (Woo et al. 2023, arXiv:2301.00808, table 15 and sec. 3.4):
global response normalization replaces the scale of each branch. `convnext_atto` to `convnext_nano`
have the sizes of V2 and the blocks of V1, as in timm.

Deviations: the linear layer that gives the logits starts as in every other head here, not from a
truncated normal distribution. The rates of stochastic depth are the paper's for training on
ImageNet-1K (table 5); V2 and the small networks have none by default.
"""

from collections.abc import Callable, Sequence
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.models.classifier import Classifier
from cnnlab.models.heads import LinearHead
from cnnlab.nn.choices import Activation, make_activation, make_norm
from cnnlab.nn.conv import Conv
from cnnlab.nn.global_response_norm import GlobalResponseNorm
from cnnlab.nn.stochastic_depth import drop_path

# Of the authors' code; table 5 prints a standard deviation of 0.2.
_kernel_init = nn.initializers.truncated_normal(0.02)
_LAYER_SCALE = 1e-6
_EPSILON = 1e-6


def patch_conv(features: int, size: int, *, dtype: jnp.dtype = jnp.float32, name: str) -> nn.Module:
    """Builds the convolution of patches of `size` times `size` pixels that do not overlap.

    It maps [batch, height, width, c] to [batch, height / size, width / size, features].
    """
    return Conv(
        features,
        (size, size),
        size,
        padding="VALID",
        kernel_init=_kernel_init,
        dtype=dtype,
        name=name,
    )


class ConvNeXtBlock(nn.Module):
    """Depthwise convolution, norm and a dense network at each position (fig. 4 right).

    The branch is multiplied by a trainable scale for each channel (Touvron et al. 2021,
    arXiv:2103.17239) and in training dropped from random examples (Huang et al. 2016,
    arXiv:1603.09382).

    Attributes:
      norm: builds a normalization layer; train or eval mode is already bound.
      activation: activation between the two dense layers.
      drop_path: builds the dropout of the whole branch; train or eval mode is bound.
      response_norm: whether a global response normalization between the dense layers replaces the
        scale of the branch (arXiv:2301.00808, fig. 5).
      kernel: height and width of the depthwise kernel.
    """

    norm: Callable[..., nn.Module]
    activation: Activation
    drop_path: Callable[[], nn.Module]
    dtype: jnp.dtype = jnp.float32
    response_norm: bool = False
    kernel: int = 7

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to the same shape."""
        channels = x.shape[-1]
        dense = partial(nn.Dense, kernel_init=_kernel_init, dtype=self.dtype)
        y = Conv(
            channels,
            (self.kernel, self.kernel),
            padding=self.kernel // 2,
            feature_group_count=channels,
            kernel_init=_kernel_init,
            dtype=self.dtype,
            name="depthwise",
        )(x)
        y = dense(4 * channels, name="expand")(self.norm(name="norm")(y))
        y = self.activation(y)
        if self.response_norm:
            y = GlobalResponseNorm(dtype=self.dtype, name="response_norm")(y)
        y = dense(channels, name="project")(y)
        if self.response_norm:
            return x + self.drop_path()(y)
        scale = self.param("layer_scale", nn.initializers.constant(_LAYER_SCALE), (channels,))
        return x + self.drop_path()(y * scale.astype(self.dtype))


class ConvNeXt(nn.Module):
    """Patches, and stages of blocks with downsampling by 2 between them (table 9).

    Attributes:
      stage_sizes: blocks in each stage.
      width: channels of the first stage; each stage doubles them.
      patch_size: height and width of the patches of the stem; 4 in the paper.
      norm: `batch`, `layer`, `group` or `none`.
      activation: activation of the blocks.
      stochastic_depth_rate: probability of dropping the last block's branch in training; the rate
        rises linearly from 0 at the first block.
      response_norm: whether blocks are those of V2.
    """

    stage_sizes: Sequence[int]
    width: int = 96
    patch_size: int = 4
    norm: str = "layer"
    activation: str = "gelu"
    stochastic_depth_rate: float = 0.0
    dtype: jnp.dtype = jnp.float32
    response_norm: bool = False

    @property
    def strides(self) -> tuple[int, ...]:
        return tuple(self.patch_size * 2**stage for stage in range(len(self.stage_sizes)))

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Maps [batch, height, width, channels] to the stages' maps, one for each of `strides`."""
        norm = make_norm(self.norm, train=train, dtype=self.dtype, epsilon=_EPSILON)
        activation = make_activation(self.activation)

        patches = partial(patch_conv, dtype=self.dtype)
        x = norm(name="stem_norm")(patches(self.width, self.patch_size, name="stem_conv")(images))
        maps, blocks_before, last_block = [], 0, sum(self.stage_sizes) - 1
        for stage, size in enumerate(self.stage_sizes, start=1):
            if stage > 1:
                x = norm(name=f"transition{stage - 1}_norm")(x)
                x = patches(2 * x.shape[-1], 2, name=f"transition{stage - 1}_conv")(x)
            for number in range(1, size + 1):
                rate = self.stochastic_depth_rate * blocks_before / max(1, last_block)
                x = ConvNeXtBlock(
                    norm,
                    activation,
                    drop_path(rate, train=train),
                    self.dtype,
                    self.response_norm,
                    name=f"stage{stage}_block{number}",
                )(x)
                blocks_before += 1
            maps.append(x)
        return tuple(maps)


# Of V1 and V2.
_SMALL = {
    "atto": {"stage_sizes": (2, 2, 6, 2), "width": 40},
    "femto": {"stage_sizes": (2, 2, 6, 2), "width": 48},
    "pico": {"stage_sizes": (2, 2, 6, 2), "width": 64},
    "nano": {"stage_sizes": (2, 2, 8, 2), "width": 80},
}
_V2 = _SMALL | {
    "tiny": {"stage_sizes": (3, 3, 9, 3)},
    "small": {"stage_sizes": (3, 3, 27, 3)},
    "base": {"stage_sizes": (3, 3, 27, 3), "width": 128},
    "large": {"stage_sizes": (3, 3, 27, 3), "width": 192},
    "huge": {"stage_sizes": (3, 3, 27, 3), "width": 352},
}

VARIANTS = {
    "convnext_tiny": {"stage_sizes": (3, 3, 9, 3), "stochastic_depth_rate": 0.1},
    "convnext_small": {"stage_sizes": (3, 3, 27, 3), "stochastic_depth_rate": 0.4},
    "convnext_base": {"stage_sizes": (3, 3, 27, 3), "width": 128, "stochastic_depth_rate": 0.5},
    "convnext_large": {"stage_sizes": (3, 3, 27, 3), "width": 192, "stochastic_depth_rate": 0.5},
    **{f"convnext_{size}": options for size, options in _SMALL.items()},
    **{f"convnextv2_{size}": options | {"response_norm": True} for size, options in _V2.items()},
}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    stage_sizes: Sequence[int],
    width: int = 96,
    patch_size: int = 4,
    norm: str = "layer",
    activation: str = "gelu",
    stochastic_depth_rate: float = 0.0,
    dropout_rate: float = 0.0,
    response_norm: bool = False,
) -> Classifier:
    """Builds the network. The layer norm of the head stays, whatever `norm` is."""
    # As of ResNet: at 32 pixels the paper's patches leave the last stage one pixel; that would run,
    # and learn little.
    return Classifier(
        ConvNeXt(
            stage_sizes,
            width,
            patch_size,
            norm,
            activation,
            stochastic_depth_rate,
            dtype,
            response_norm,
        ),
        LinearHead(num_classes, dropout_rate, dtype, layer_norm_epsilon=_EPSILON),
        patch_size * 2 ** (len(stage_sizes) - 1) + 1,
        f", or model.options.patch_size={patch_size // 2}" if patch_size > 1 else "",
    )
