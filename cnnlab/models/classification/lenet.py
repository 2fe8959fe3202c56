"""LeNet (LeCun et al. 1998, "Gradient-based learning applied to document recognition").

Three readings of it:

- `lenet5`: the original of sec. II-B, for 32x32 images with values near [-0.1, 1.175]: trainable
  subsampling, the partial connections of its table I, the scaled tanh of appendix A, and radial
  basis outputs; 60,000 trainable parameters. Deviations: the fixed code of each class is drawn at
  random from {-1, +1} instead of being a drawn bitmap of the character (the paper names this
  choice), so that any number of classes works; the logits are the negated outputs, halved, so that
  softmax cross-entropy plays the part of the paper's discriminative criterion, eq. 9. The classes'
  scores compete through the softmax, without the constant j.
- `lenet`: as in "Dive into Deep Learning" (d2l.ai), sec. 7.6: sigmoid, average pooling, three dense
  layers; 61,706 parameters on 28x28x1 images and 10 classes. Deviations: none.
- `lenet_relu`: the same with ReLU and max pooling, which learns several times faster.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from cnnlab.models.classifier import Classifier
from cnnlab.models.heads import DenseHead
from cnnlab.nn.choices import make_activation, make_pool
from cnnlab.nn.conv import Conv

# Table I of the paper: which of the six S2 maps each of the sixteen C3 maps is connected to.
_C3_INPUTS = (
    (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5),
    (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5),
    (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)  # fmt: skip


class LeNet(nn.Module):
    """Two convolutions of 5x5, each followed by an activation and 2x2 pooling.

    Attributes:
      activation: activation after each convolution.
      pool: `avg` or `max`.
    """

    activation: str = "sigmoid"
    pool: str = "avg"
    dtype: jnp.dtype = jnp.float32

    @property
    def strides(self) -> tuple[int, ...]:
        return (2, 4)

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Maps [batch, height, width, channels] to maps of 6 and 16 channels.

        The second convolution is not padded: 28x28 images give maps of 14x14 and 5x5.
        """
        activation, pool = make_activation(self.activation), make_pool(self.pool)
        x = Conv(6, (5, 5), padding=2, dtype=self.dtype, name="conv1")(images)
        fine = pool(activation(x), (2, 2), strides=(2, 2))
        x = Conv(16, (5, 5), padding="VALID", dtype=self.dtype, name="conv2")(fine)
        return fine, pool(activation(x), (2, 2), strides=(2, 2))


def scaled_tanh(x: jax.Array) -> jax.Array:
    """1.7159 tanh(2x/3), which keeps unit variance at unit variance (LeCun et al. 1998, app. A)."""
    return 1.7159 * jnp.tanh(2.0 / 3.0 * x)


class Subsample(nn.Module):
    """Sum of each 2x2 window, times one trainable coefficient and plus one bias per channel."""

    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps [batch, height, width, c] to [batch, height / 2, width / 2, c]."""
        # A coefficient of 1/4 starts the layer as average pooling.
        scale = self.param("scale", nn.initializers.constant(0.25), (x.shape[-1],))
        bias = self.param("bias", nn.initializers.zeros_init(), (x.shape[-1],))
        sums = 4.0 * make_pool("avg")(x, (2, 2), strides=(2, 2))
        return sums * scale.astype(self.dtype) + bias.astype(self.dtype)


class LeNet5(nn.Module):
    """Layers C1 to S4 of the original LeNet-5 (LeCun et al. 1998, sec. II-B)."""

    dtype: jnp.dtype = jnp.float32

    @property
    def strides(self) -> tuple[int, ...]:
        return (2, 4)

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Maps [batch, 32, 32, channels] to maps of 14x14x6 and 5x5x16."""
        x = Conv(6, (5, 5), padding="VALID", dtype=self.dtype, name="c1")(images)
        s2 = scaled_tanh(Subsample(self.dtype, name="s2")(scaled_tanh(x)))
        maps = [
            Conv(1, (5, 5), padding="VALID", dtype=self.dtype, name=f"c3_map{number}")(
                s2[..., np.array(inputs)]
            )
            for number, inputs in enumerate(_C3_INPUTS)
        ]
        x = scaled_tanh(jnp.concatenate(maps, axis=-1))
        return s2, scaled_tanh(Subsample(self.dtype, name="s4")(x))


class RadialBasisHead(nn.Module):
    """Layers C5, F6 and the radial basis outputs of the original LeNet-5.

    Attributes:
      num_classes: width of the logits.
      code_seed: draws the fixed code of each class; another seed gives another network.
    """

    num_classes: int
    code_seed: int = 1998
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, features: tuple[jax.Array, ...], *, train: bool) -> jax.Array:
        """Maps feature maps, the last [batch, 5, 5, 16], to logits [batch, num_classes].

        A logit is -|f6 - code|^2 / 2, where f6 are the 84 outputs of layer F6.
        """
        x = features[-1].reshape(features[-1].shape[0], -1)
        x = scaled_tanh(nn.Dense(120, dtype=self.dtype, name="c5")(x))
        x = scaled_tanh(nn.Dense(84, dtype=self.dtype, name="f6")(x)).astype(jnp.float32)
        codes = np.random.default_rng(self.code_seed).choice([-1.0, 1.0], (self.num_classes, 84))
        distance = jnp.square(x[:, None, :] - codes.astype(np.float32)).sum(-1)
        return -distance / 2


VARIANTS = {
    "lenet5": {"original": True},
    "lenet": {"activation": "sigmoid", "pool": "avg"},
    "lenet_relu": {"activation": "relu", "pool": "max"},
}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    original: bool = False,
    activation: str = "sigmoid",
    pool: str = "avg",
    dropout_rate: float = 0.0,
) -> Classifier:
    """Builds the network."""
    if original:
        return Classifier(LeNet5(dtype), RadialBasisHead(num_classes, dtype=dtype), min_size=32)
    return Classifier(
        backbone=LeNet(activation, pool, dtype),
        head=DenseHead(num_classes, (120, 84), activation, dropout_rate, dtype),
        min_size=12,
    )
