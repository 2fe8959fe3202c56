"""VGG (Simonyan & Zisserman 2014, "Very deep convolutional networks", arXiv:1409.1556).

Configurations A, B, D and E of its table 1, and the same with batch norm, as in torchvision
(with the convolutions' biases). Deviations: before the dense layers the map is averaged to 7x7, an
identity on 224x224 images, so that other sizes work.
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


class VGG(nn.Module):
    """Five stages of 3x3 convolutions, each closed by 2x2 max pooling.

    Attributes:
      stage_sizes: convolutions in each stage.
      width: channels of the first stage; later ones double them, up to eight times.
      norm: `batch`, `layer`, `group` or `none`.
      norm_place: `before` or `after` the activation.
      activation: activation after each convolution.
    """

    stage_sizes: Sequence[int]
    width: int = 64
    norm: str = "none"
    norm_place: str = "before"
    activation: str = "relu"
    dtype: jnp.dtype = jnp.float32

    @property
    def strides(self) -> tuple[int, ...]:
        return tuple(2**stage for stage in range(len(self.stage_sizes) + 1))

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Maps [batch, height, width, c] to each stage's map before pooling, and the last pooled.

        The maps before pooling are those that decoders and style transfer take.
        """
        norm = make_norm(self.norm, train=train, dtype=self.dtype)
        activation = make_activation(self.activation)
        maps, x = [], images
        for stage, size in enumerate(self.stage_sizes, start=1):
            for number in range(1, size + 1):
                x = ConvNormAct(
                    min(self.width * 2 ** (stage - 1), self.width * 8),
                    norm=norm,
                    activation=activation,
                    use_bias=True,
                    norm_place=self.norm_place,
                    dtype=self.dtype,
                    name=f"stage{stage}_conv{number}",
                )(x)
            maps.append(x)
            x = max_pool(x, (2, 2), (2, 2))
        return (*maps, x)


_STAGE_SIZES = {
    "vgg11": (1, 1, 2, 2, 2),
    "vgg13": (2, 2, 2, 2, 2),
    "vgg16": (2, 2, 3, 3, 3),
    "vgg19": (2, 2, 4, 4, 4),
}
VARIANTS = {
    **{name: {"stage_sizes": sizes} for name, sizes in _STAGE_SIZES.items()},
    **{
        f"{name}_bn": {"stage_sizes": sizes, "norm": "batch"}
        for name, sizes in _STAGE_SIZES.items()
    },
}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    stage_sizes: Sequence[int],
    width: int = 64,
    hidden: Sequence[int] = (4096, 4096),
    pool_size: int = 7,
    norm: str = "none",
    norm_place: str = "before",
    activation: str = "relu",
    dropout_rate: float = 0.5,
) -> Classifier:
    """Builds the network."""
    return Classifier(
        VGG(stage_sizes, width, norm, norm_place, activation, dtype),
        DenseHead(num_classes, hidden, activation, dropout_rate, dtype, pool_size),
        min_size=2 ** len(stage_sizes),
    )
