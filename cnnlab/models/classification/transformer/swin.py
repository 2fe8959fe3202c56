"""Swin transformer (Liu et al. 2021, arXiv:2103.14030) and version 2 (2022, arXiv:2111.09883).

Hierarchical transformers whose attention stays in windows, which every second block shifts. Sec.
3.3 of the first paper gives the sizes. As in torchvision, version 2 has windows of 8 for images of
256 pixels; its rates of stochastic depth are torchvision's too. Networks with other windows have
timm's names, which end in the image size for which they were made: there, windows divide all maps,
and the last stage of version 2 has one window. Maps that windows do not divide are padded, and
positions attend to the padding, as in the authors' code; timm pads after it shifts. Deviations:
pixels on the right and below that patches do not divide are ignored, as in torchvision.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.errors import UserError
from cnnlab.models.classifier import Classifier
from cnnlab.models.heads import LinearHead
from cnnlab.nn.attention.swin_block import PatchMerging, SwinBlock
from cnnlab.nn.conv import Conv
from cnnlab.nn.stochastic_depth import drop_path

_init = nn.initializers.truncated_normal(0.02)
_EPSILON = 1e-5


class SwinTransformer(nn.Module):
    """Patches, and stages of `SwinBlock` with patch merging between them (fig. 3).

    Attributes:
      stage_sizes: blocks in each stage; every second one shifts its windows.
      heads: number of attention heads in each stage.
      width: channels of the first stage; each stage doubles them.
      window: height and width of a window in positions, of all stages or of each.
      version: 1 or 2, see `SwinBlock`.
      patch_size: height and width of a patch in pixels.
      mlp_ratio: width between a block's dense layers, in multiples of its channels.
      stochastic_depth_rate: probability of dropping a branch of the last block in training; the
        rate rises linearly from 0 at the first block.
      pretrained_window: for version 2, the window of an earlier training, of all stages or of each,
        as in `WindowAttention`; 0 if there was none.
    """

    stage_sizes: Sequence[int]
    heads: Sequence[int]
    width: int = 96
    window: int | Sequence[int] = 7
    version: int = 1
    patch_size: int = 4
    mlp_ratio: int = 4
    stochastic_depth_rate: float = 0.2
    dtype: jnp.dtype = jnp.float32
    pretrained_window: int | Sequence[int] = 0

    @property
    def strides(self) -> tuple[int, ...]:
        return tuple(self.patch_size * 2**stage for stage in range(len(self.stage_sizes)))

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
        """Maps [batch, height, width, channels] to the stages' maps; the last is normalised."""
        x = Conv(
            self.width,
            (self.patch_size, self.patch_size),
            self.patch_size,
            padding="VALID",
            dtype=self.dtype,
            name="patches",
        )(images)
        x = nn.LayerNorm(_EPSILON, dtype=self.dtype, name="patches_norm")(x)
        maps, before, last = [], 0, sum(self.stage_sizes) - 1
        stages = len(self.stage_sizes)
        windows = _of_each_stage(self.window, stages)
        pretrained_windows = _of_each_stage(self.pretrained_window, stages)
        for stage, (size, heads) in enumerate(zip(self.stage_sizes, self.heads, strict=True), 1):
            if stage > 1:
                x = PatchMerging(self.version, self.dtype, name=f"merge{stage}")(x)
            for number in range(1, size + 1):
                rate = self.stochastic_depth_rate * before / max(1, last)
                x = SwinBlock(
                    heads,
                    windows[stage - 1],
                    0 if number % 2 else windows[stage - 1] // 2,
                    self.mlp_ratio,
                    drop_path(rate, train=train),
                    mask_padding=False,
                    version=self.version,
                    dtype=self.dtype,
                    pretrained_window=pretrained_windows[stage - 1],
                    name=f"stage{stage}_block{number}",
                )(x)
                before += 1
            maps.append(x)
        maps[-1] = nn.LayerNorm(_EPSILON, dtype=self.dtype, name="norm")(x)
        return tuple(maps)


_T = {"stage_sizes": (2, 2, 6, 2), "heads": (3, 6, 12, 24)}
_S = {"stage_sizes": (2, 2, 18, 2), "heads": (3, 6, 12, 24)}
_B = {"stage_sizes": (2, 2, 18, 2), "heads": (4, 8, 16, 32), "width": 128}
_L = {"stage_sizes": (2, 2, 18, 2), "heads": (6, 12, 24, 48), "width": 192}
_V2 = {"version": 2, "window": 8}
# Windows of 12, 16 and 24 for images of 192, 256 and 384 pixels.
_12, _16, _24 = (12, 12, 12, 6), (16, 16, 16, 8), (24, 24, 24, 12)

VARIANTS = {
    "swin_t": _T | {"stochastic_depth_rate": 0.2},
    "swin_s": _S | {"stochastic_depth_rate": 0.3},
    "swin_b": _B | {"stochastic_depth_rate": 0.5},
    "swin_v2_t": _T | _V2 | {"stochastic_depth_rate": 0.2},
    "swin_v2_s": _S | _V2 | {"stochastic_depth_rate": 0.3},
    "swin_v2_b": _B | _V2 | {"stochastic_depth_rate": 0.5},
    "swin_large_patch4_window7_224": _L,
    "swin_base_patch4_window12_384": _B | {"window": 12},
    "swin_large_patch4_window12_384": _L | {"window": 12},
    **{
        f"swinv2_{size}_window16_256": sizes | {"version": 2, "window": _16}
        for size, sizes in (("tiny", _T), ("small", _S), ("base", _B))
    },
    **{
        f"swinv2_{size}_{name}": sizes | {"version": 2, "window": window} | before
        for size, sizes in (("base", _B), ("large", _L))
        for name, window, before in (
            ("window12_192", _12, {}),
            ("window12to16_192to256", _16, {"pretrained_window": _12}),
            ("window12to24_192to384", _24, {"pretrained_window": _12}),
        )
    },
}


def _of_each_stage(value: int | Sequence[int], stages: int) -> tuple[int, ...]:
    return (value,) * stages if isinstance(value, int) else tuple(value)


def build(
    *,
    num_classes: int,
    dtype: jnp.dtype,
    stage_sizes: Sequence[int],
    heads: Sequence[int],
    width: int = 96,
    window: int | Sequence[int] = 7,
    version: int = 1,
    patch_size: int = 4,
    mlp_ratio: int = 4,
    stochastic_depth_rate: float = 0.2,
    dropout_rate: float = 0.0,
    pretrained_window: int | Sequence[int] = 0,
) -> Classifier:
    """Builds the network; `dropout_rate` is that of the pooled features."""
    if version not in (1, 2):
        raise UserError(f"Unknown version {version} of the Swin transformer: choose 1 or 2.")
    if len(stage_sizes) != len(heads):
        raise UserError(
            f"stage_sizes {tuple(stage_sizes)} and heads {tuple(heads)} differ in length: give one "
            "number of heads for each stage."
        )
    for option, value in (("window", window), ("pretrained_window", pretrained_window)):
        if len(_of_each_stage(value, len(stage_sizes))) != len(stage_sizes):
            raise UserError(
                f"{option}={tuple(value)} must be one number, or one for each of the "
                f"{len(stage_sizes)} stages."
            )
    for stage, number in enumerate(heads):
        if width * 2**stage % number:
            raise UserError(
                f"heads={tuple(heads)} must divide the channels of each stage: {number} does not "
                f"divide {width * 2**stage}."
            )
    backbone = SwinTransformer(
        stage_sizes,
        heads,
        width,
        window,
        version,
        patch_size,
        mlp_ratio,
        stochastic_depth_rate,
        dtype,
        pretrained_window,
    )
    # As of ConvNeXt: with one position in the last stage it would run, and learn little.
    return Classifier(
        backbone,
        LinearHead(num_classes, dropout_rate, dtype, kernel_init=_init),
        backbone.strides[-1] + 1,
        f", or model.options.patch_size={patch_size // 2}" if patch_size > 1 else "",
    )
