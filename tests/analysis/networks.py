"""Networks that are small enough to be worked out by hand, for tests of the analysis."""

import flax.linen as nn
import jax.numpy as jnp

from cnnlab.models import Classifier


class OneConv(nn.Module):
    """A 1x1 convolution: each channel of the map is a multiple of the image."""

    features: int = 2

    @property
    def strides(self):
        return (1,)

    @nn.compact
    def __call__(self, images, *, train):
        return (nn.Conv(self.features, (1, 1), use_bias=False, name="conv")(images),)


class Sum(nn.Module):
    """Logits that are weighted sums of the channel means."""

    num_classes: int = 2

    @nn.compact
    def __call__(self, features, *, train):
        return nn.Dense(self.num_classes, use_bias=False, name="logits")(features[-1].mean((1, 2)))


def one_conv():
    """A network of 2 channels and 2 classes on images of one channel, and its variables.

    Channel 0 is twice the image, channel 1 its negative; class 0 is channel 0 less three times
    channel 1, class 1 is channel 1, both averaged over positions.
    """
    params = {
        "backbone": {"conv": {"kernel": jnp.array([2.0, -1.0]).reshape(1, 1, 1, 2)}},
        "head": {"logits": {"kernel": jnp.array([[1.0, 0.0], [-3.0, 1.0]])}},
    }
    return Classifier(OneConv(), Sum()), {"params": params}
