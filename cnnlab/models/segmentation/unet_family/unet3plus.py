"""UNet 3+ (Huang et al. 2020, "UNet 3+: a full-scale connected UNet for...", arXiv:2004.08790).

Each decoder level takes one map of every scale (sec. 2.1): finer encoder maps after max pooling,
its own, and coarser decoder maps after bilinear upsampling; each is convolved to 64 channels, and
all are joined and convolved. Options:

- `deep_supervision` (sec. 2.2): each level has an output, brought to the size of the image.
- `classification_guided` (sec. 2.3): the coarsest map says whether there is anything to segment in
  the image, and if not, all of it is background.

Deviations: convolutions keep their biases, as in the authors' code. The paper trains the guide with
a loss of its own and multiplies by its hard decision. Here the probabilities of all classes but
background are multiplied by the guide's probability in training, so that the loss of segmentation
trains it, and by its decision in evaluation; the product is a sum of logits and logarithms.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.models.segmentation.unet_family.unet import UNetEncoder
from cnnlab.models.segmenter import Segmenter
from cnnlab.nn.choices import make_activation, make_norm
from cnnlab.nn.conv import Conv
from cnnlab.nn.conv_norm_act import ConvNormAct
from cnnlab.nn.dropout import Dropout
from cnnlab.nn.pool import max_pool
from cnnlab.nn.resize import resize_bilinear

# Added to the logits of what the guide ruled out: no probability worth the name is left.
_RULED_OUT = -100.0


class FullScaleDecoder(nn.Module):
    """Levels that see all scales.

    Attributes:
      num_classes: channels of the logits.
      width: channels to which each source of a level is convolved.
      deep_supervision: an auxiliary output on every level, the coarsest map included.
      classification_guided: whether the coarsest map decides if there is anything but background.
      norm: `batch`, `layer`, `group` or `none`.
      activation: activation after each convolution.
    """

    num_classes: int
    width: int = 64
    deep_supervision: bool = False
    classification_guided: bool = False
    norm: str = "batch"
    activation: str = "relu"
    dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(
        self, features: tuple[jax.Array, ...], images: jax.Array, *, train: bool
    ) -> jax.Array:
        """Maps the encoder's maps to logits [batch, height, width, num_classes]."""

        def convolve(x: jax.Array, width: int, name: str) -> jax.Array:
            return ConvNormAct(
                width,
                norm=make_norm(self.norm, train=train, dtype=self.dtype),
                activation=make_activation(self.activation),
                use_bias=True,
                dtype=self.dtype,
                name=name,
            )(x)

        decoded = [features[-1]]  # from coarse to fine
        for level in range(len(features) - 1, 0, -1):
            size = features[level - 1].shape[1:3]
            finer = [
                max_pool(x, (2**steps, 2**steps), (2**steps, 2**steps)) if steps else x
                for steps, x in zip(range(level - 1, -1, -1), features, strict=False)
            ]
            coarser = [resize_bilinear(x, size) for x in reversed(decoded)]
            sources = [
                convolve(x, self.width, f"level{level}_from{source}")
                for source, x in enumerate([*finer, *coarser], start=1)
            ]
            joined = jnp.concatenate(sources, axis=-1)
            decoded.append(convolve(joined, joined.shape[-1], f"level{level}"))

        guide = self._guide(features[-1], train=train) if self.classification_guided else 0.0

        def logits_of(x: jax.Array, name: str) -> jax.Array:
            layer = Conv(self.num_classes, (3, 3), padding=1, dtype=self.dtype, name=name)
            return resize_bilinear(layer(x).astype(jnp.float32), images.shape[1:3]) + guide

        if self.deep_supervision and (train or self.is_initializing()):
            for level, x in zip(range(len(features), 1, -1), decoded, strict=False):
                auxiliary = logits_of(x, f"aux{level}")
                if train:
                    self.sow("aux_logits", f"level{level}_logits", auxiliary)
        return logits_of(decoded[-1], "logits")

    def _guide(self, x: jax.Array, *, train: bool) -> jax.Array:
        """Values added to the logits, [batch, 1, 1, num_classes]; 0 for the background, class 0.

        With a single class, whose logits are of foreground, it is for that class.
        """
        x = Dropout(0.5, deterministic=not train)(x)
        x = Conv(2, (1, 1), dtype=self.dtype, name="guide")(x).astype(jnp.float32)
        scores = x.max(axis=(1, 2), keepdims=True)
        if train:
            present = nn.log_softmax(scores)[..., 1:]
        else:
            present = jnp.where(scores[..., 1:] > scores[..., :1], 0.0, _RULED_OUT)
        background = min(self.num_classes - 1, 1)
        return jnp.pad(
            jnp.repeat(present, self.num_classes - background, axis=-1),
            ((0, 0), (0, 0), (0, 0), (background, 0)),
        )


VARIANTS = {"unet3plus": {}}


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    width: int = 64,
    levels: int = 5,
    deep_supervision: bool = False,
    classification_guided: bool = False,
    norm: str = "batch",
    activation: str = "relu",
) -> Segmenter:
    """Builds the network; `width` channels on the first level, twice as many on each later one."""
    widths = [width * 2**level for level in range(levels)]
    return Segmenter(
        UNetEncoder(widths, norm, activation, dtype=dtype, use_bias=True),
        FullScaleDecoder(
            num_classes, width, deep_supervision, classification_guided, norm, activation, dtype
        ),
        min_size=2 ** (levels - 1),
        small_image_hint=", or a smaller model.options.levels",
        aux_weight=1.0,
    )
