"""AlexNet (Krizhevsky et al. 2012, "ImageNet classification with deep convolutional networks").

- `alexnet`: one tower of 64 to 256 channels (Krizhevsky 2014, arXiv:1404.5997), as torchvision has
  it; 61,100,840 parameters.
- `alexnet_2012`: the paper's: two towers (as groups of channels) that meet in the third
  convolution, local response normalization, 227x227 images; 60,965,224 parameters.
- `alexnet_d2l`: the paper's widths without towers and response normalization, 224x224 images, as
  in "Dive into Deep Learning" (d2l.ai), sec. 8.1; 50,844,008 parameters.

Deviations: the map is averaged to the size that the dense layers take, an identity at the image
size named above, so that other sizes work. Dropout follows each of the two hidden dense layers, as
in the paper; torchvision has it before them.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.models.classifier import Classifier
from cnnlab.models.heads import DenseHead
from cnnlab.nn.choices import make_activation, make_norm
from cnnlab.nn.conv_norm_act import ConvNormAct
from cnnlab.nn.pool import max_pool


def local_response_norm(x: jax.Array) -> jax.Array:
    """Divides by the activity of five neighbouring channels (sec. 3.3, with its constants)."""
    squares = jnp.pad(jnp.square(x), ((0, 0), (0, 0), (0, 0), (2, 2)))
    sums = sum(squares[..., shift : shift + x.shape[-1]] for shift in range(5))
    return x / jnp.power(2.0 + 1e-4 * sums, 0.75)


class AlexNet(nn.Module):
    """Five convolutions and three poolings.

    Attributes:
      channels: channels of the five convolutions.
      stem_padding: pixels around the image before the 11x11 convolution of stride 4.
      towers: 2 splits the second, fourth and fifth convolution into two groups.
      response_norm: local response normalization after the first two convolutions.
      norm: `batch`, `layer`, `group` or `none`.
      norm_place: `before` or `after` the activation.
      activation: activation after each convolution.
    """

    channels: Sequence[int]
    stem_padding: int
    towers: int = 1
    response_norm: bool = False
    norm: str = "none"
    norm_place: str = "before"
    activation: str = "relu"
    dtype: jnp.dtype = jnp.float32

    @property
    def strides(self) -> tuple[int, ...]:
        return (4, 8, 16, 32)

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Maps [batch, height, width, c] to the first convolution's map and three pooled ones."""
        norm = make_norm(self.norm, train=train, dtype=self.dtype)
        activation = make_activation(self.activation)

        def conv(x: jax.Array, number: int, kernel: int, **options: int) -> jax.Array:
            features = self.channels[number - 1]
            x = ConvNormAct(
                features,
                kernel,
                norm=norm,
                activation=activation,
                norm_place=self.norm_place,
                dtype=self.dtype,
                name=f"conv{number}",
                **options,
            )(x)
            return local_response_norm(x) if self.response_norm and number <= 2 else x

        first = conv(images, 1, 11, stride=4, padding=self.stem_padding)
        second = max_pool(first, (3, 3), (2, 2))
        third = max_pool(conv(second, 2, 5, groups=self.towers), (3, 3), (2, 2))
        x = conv(third, 3, 3)
        x = conv(x, 4, 3, groups=self.towers)
        x = conv(x, 5, 3, groups=self.towers)
        return first, second, third, max_pool(x, (3, 3), (2, 2))


VARIANTS = {
    "alexnet": {"channels": (64, 192, 384, 256, 256), "stem_padding": 2, "pool_size": 6},
    "alexnet_2012": {
        "channels": (96, 256, 384, 384, 256),
        "stem_padding": 0,
        "pool_size": 6,
        "towers": 2,
        "response_norm": True,
    },
    "alexnet_d2l": {"channels": (96, 256, 384, 384, 256), "stem_padding": 1, "pool_size": 5},
}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    channels: Sequence[int],
    stem_padding: int,
    pool_size: int,
    towers: int = 1,
    response_norm: bool = False,
    hidden: Sequence[int] = (4096, 4096),
    norm: str = "none",
    norm_place: str = "before",
    activation: str = "relu",
    dropout_rate: float = 0.5,
) -> Classifier:
    """Builds the network."""
    return Classifier(
        AlexNet(channels, stem_padding, towers, response_norm, norm, norm_place, activation, dtype),
        DenseHead(num_classes, hidden, activation, dropout_rate, dtype, pool_size),
        # 15 positions after the first convolution leave one after three poolings.
        min_size=4 * 14 + 11 - 2 * stem_padding,
    )
