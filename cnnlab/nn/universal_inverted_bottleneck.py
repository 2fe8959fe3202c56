"""The universal inverted bottleneck of MobileNetV4 (Qin et al. 2024, arXiv:2404.10518, sec. 3)."""

from collections.abc import Callable

import flax.linen as nn
import jax

from cnnlab.nn.choices import Identity


class UniversalInvertedBottleneck(nn.Module):
    """An inverted bottleneck with two optional depthwise convolutions (fig. 4).

    Both make the paper's ExtraDW; the second alone is the inverted bottleneck of MobileNetV2, the
    first alone a block like ConvNeXt's, and none of them a dense network at each position (FFN).
    The input is added if shapes agree.

    Attributes:
      features: channels of the output.
      expanded: channels between the two 1x1 convolutions.
      conv: builds a convolution with its norm and activation, as `cnnlab.nn.conv_norm_act`'s.
      start_kernel: height and width of the depthwise kernel before the expansion, after which no
        activation follows; 0 for none.
      middle_kernel: that of the depthwise kernel after the expansion; 0 for none.
      stride: stride of the last depthwise convolution; 1 if there is none.
      dropout: builds the dropout of the branch, e.g. `stochastic_depth`.
    """

    features: int
    expanded: int
    conv: Callable[..., Callable[[jax.Array], jax.Array]]
    start_kernel: int = 0
    middle_kernel: int = 0
    stride: int = 1
    dropout: Callable[[], nn.Module] = Identity

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to [batch, height / stride, width / stride, features]."""
        y, channels = x, x.shape[-1]
        if self.start_kernel:
            stride = 1 if self.middle_kernel else self.stride
            y = self.conv(
                channels,
                self.start_kernel,
                stride,
                groups=channels,
                activation=None,
                name="start_depthwise",
            )(y)
        y = self.conv(self.expanded, 1, name="expand")(y)
        if self.middle_kernel:
            y = self.conv(
                self.expanded,
                self.middle_kernel,
                self.stride,
                groups=self.expanded,
                name="depthwise",
            )(y)
        y = self.conv(self.features, 1, activation=None, name="project")(y)
        if self.stride == 1 and self.features == channels:
            y = x + self.dropout()(y)
        return y
