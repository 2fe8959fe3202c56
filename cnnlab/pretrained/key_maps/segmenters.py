"""Segmentation networks of torchvision and of segmentation_models_pytorch, on any encoder."""

import dataclasses
from collections.abc import Sequence

from cnnlab.pretrained.key_maps.rules import KeyMap, Rule, TensorSpec, by_rules

_BLOCKS = "decoder.blocks"


def on_encoder(encoder: KeyMap, prefix: str, decoder: KeyMap) -> KeyMap:
    """Returns the key map of a network: its encoder's with a prefix, and its decoder's."""

    def naming(layers: Sequence[str]) -> dict[str, TensorSpec]:
        own = {layer for layer in layers if layer.partition("/")[0] == "backbone"}
        inner = encoder([layer for layer in layers if layer in own])
        # Some namings name layers of a classifier's head, with names that a decoder has too.
        return decoder(layers) | {
            layer: dataclasses.replace(place, name=f"{prefix}{place.name}".rstrip("."))
            for layer, place in inner.items()
            if layer in own
        }

    return naming


def without_root(naming: KeyMap, root: str) -> KeyMap:
    """The naming of a part of a network that stands by itself."""

    def inner(layers: Sequence[str]) -> dict[str, TensorSpec]:
        return {
            layer: dataclasses.replace(place, name=place.name.removeprefix(root))
            for layer, place in naming(layers).items()
        }

    return inner


def _pair(ours: str, theirs: str, first: int = 0) -> tuple[Rule, Rule]:
    """A convolution and the norm after it, neighbours in a sequence there."""
    return (f"{ours}/conv", f"{theirs}.{first}"), (f"{ours}/norm", f"{theirs}.{first + 1}")


def _pyramid(theirs: str, separable: bool = False) -> tuple[Rule, ...]:
    """Atrous spatial pyramid pooling, the same in both libraries."""
    ours, convs = "head/pyramid", f"{theirs}.convs"
    return (
        *_pair(f"{ours}/pooled", f"{convs}.4", 1),
        *_pair(f"{ours}/project", f"{theirs}.project"),
        *_pair(f"{ours}/branch{{n}}", f"{convs}.{{n0}}"),
        *(_separable(f"{ours}/branch{{n}}", f"{convs}.{{n0}}.0", f"{convs}.{{n0}}.1")
          if separable else ()),
    )  # fmt: skip


def _separable(ours: str, convs: str, norm: str) -> tuple[Rule, ...]:
    return (
        (f"{ours}/depthwise/conv", f"{convs}.0"),
        (f"{ours}/pointwise/conv", f"{convs}.1"),
        (f"{ours}/pointwise/norm", norm),
    )


_AUX = (*_pair("head/aux/conv", "aux_classifier"), ("head/aux/logits", "aux_classifier.4"))

torchvision_fcn = by_rules(
    *_pair("head/conv", "classifier"), ("head/logits", "classifier.4"), *_AUX
)
_DEEPLABV3 = (
    *_pyramid("classifier.0"), *_pair("head/conv", "classifier", 1),
    ("head/logits", "classifier.4"),
)  # fmt: skip
torchvision_deeplabv3 = by_rules(*_DEEPLABV3, *_AUX)
# Its auxiliary head is on a map in the middle of a stage there, which no head of ours is on.
torchvision_deeplabv3_without_aux = by_rules(*_DEEPLABV3)
torchvision_lraspp = by_rules(
    *_pair("head/conv", "classifier.cbr"),
    ("head/gate/conv", "classifier.scale.1"),
    ("head/fine_logits", "classifier.low_classifier"),
    ("head/logits", "classifier.high_classifier"),
)

_LOGITS = ("head/logits", "segmentation_head.0")


def _attention(ours: str, theirs: str) -> tuple[Rule, ...]:
    return (
        (f"{ours}/channel/reduce", f"{theirs}.attention.cSE.1"),
        (f"{ours}/channel/expand", f"{theirs}.attention.cSE.3"),
        (f"{ours}/spatial", f"{theirs}.attention.sSE.0"),
    )


def _skip_block(ours: str, theirs: str) -> tuple[Rule, ...]:
    return (
        *_pair(f"{ours}/conv{{i}}", f"{theirs}.conv{{i}}"),
        *_attention(f"{ours}/attention{{i}}", f"{theirs}.attention{{i}}"),
    )


_CENTER = _pair("head/center/conv{i}", "decoder.center.{i0}")

smp_unet = by_rules(*_CENTER, *_skip_block("head/level{n}", f"{_BLOCKS}.{{n0}}"), _LOGITS)
smp_unetplusplus = by_rules(
    *_CENTER, *_skip_block("head/node{d}_{n}", f"{_BLOCKS}.x_{{d}}_{{n}}"), _LOGITS
)
smp_linknet = by_rules(
    *_pair("head/level{n}/reduce", f"{_BLOCKS}.{{n0}}.block.0"),
    ("head/level{n}/up", TensorSpec(f"{_BLOCKS}.{{n0}}.block.1.0", transposed=True)),
    ("head/level{n}/up_norm", f"{_BLOCKS}.{{n0}}.block.1.1"),
    *_pair("head/level{n}/expand", f"{_BLOCKS}.{{n0}}.block.2"),
    _LOGITS,
)
smp_manet = by_rules(
    ("head/center/{part}", "decoder.center.{part}_conv"),
    *(
        rule
        for ours, theirs in (("gate_below", "SE_hl"), ("gate_skip", "SE_ll"))
        for rule in (
            (f"head/level{{n}}/{ours}/reduce", f"{_BLOCKS}.{{n0}}.{theirs}.1"),
            (f"head/level{{n}}/{ours}/expand", f"{_BLOCKS}.{{n0}}.{theirs}.3"),
        )
    ),
    *_pair("head/level{n}/below{i}", f"{_BLOCKS}.{{n0}}.hl_conv.{{i0}}"),
    *_pair("head/level{n}/conv{i}", f"{_BLOCKS}.{{n0}}.conv{{i}}"),
    _LOGITS,
)
smp_fpn = by_rules(
    ("head/lateral4", "decoder.p5"),
    *((f"head/lateral{n}", f"decoder.p{n + 1}.skip_conv") for n in (1, 2, 3)),
    *(
        rule
        for level in (1, 2, 3, 4)
        for ours, theirs in [
            (f"head/branch{level}_conv{{n}}", f"decoder.seg_blocks.{4 - level}.block.{{n0}}.block")
        ]
        for rule in ((f"{ours}/conv", f"{theirs}.0"), (f"{ours}/norm/group", f"{theirs}.1"))
    ),
    _LOGITS,
)
smp_pspnet = by_rules(
    *(
        rule
        for block, bins in enumerate((1, 2, 3, 6))
        for rule in _pair(f"head/pool{bins}", f"decoder.psp.blocks.{block}.pool.1")
    ),
    *_pair("head/conv", "decoder.conv"),
    _LOGITS,
)
smp_deeplabv3 = by_rules(
    *_pyramid("decoder.aspp"),
    ("head/conv/conv", "decoder.conv"),
    ("head/conv/norm", "decoder.bn"),
    _LOGITS,
)
smp_deeplabv3plus = by_rules(
    *_pyramid("decoder.aspp.0", separable=True),
    *_separable("head/conv", "decoder.aspp.1", "decoder.aspp.2"),
    *_pair("head/fine", "decoder.block1"),
    *_separable("head/join", "decoder.block2.0", "decoder.block2.1"),
    _LOGITS,
)


def _named_pair(ours: str, theirs: str) -> tuple[Rule, Rule]:
    """A convolution and the norm after it, with names of their own there."""
    return (f"{ours}/conv", f"{theirs}.conv"), (f"{ours}/norm", f"{theirs}.bn")


smp_pan = by_rules(
    *(
        rule
        for ours, theirs in (
            ("pooled", "branch1.1"),
            ("middle", "mid.0"),
            ("down1", "down1.1"),
            ("down2", "down2.1"),
            ("down3a", "down3.1"),
            ("down3b", "down3.2"),
            ("up2", "conv2"),
            ("up1", "conv1"),
        )
        for rule in _named_pair(f"head/attention/{ours}", f"decoder.fpa.{theirs}")
    ),
    *_named_pair("head/up{n}/gate", "decoder.gau{n}.conv1.1"),
    *_named_pair("head/up{n}/conv", "decoder.gau{n}.conv2"),
    _LOGITS,
)
smp_upernet = by_rules(
    ("head/norm{n}", "decoder.feature_norms.{n0}"),
    *(
        rule
        for block, bins in enumerate((1, 2, 3, 6))
        for rule in _pair(f"head/pool{bins}", f"decoder.psp.blocks.{block}.1")
    ),
    *_pair("head/pooled", "decoder.psp.out_conv"),
    *(
        rule
        for level in (1, 2, 3)
        for rule in (
            *_pair(
                f"head/lateral{level}", f"decoder.fpn_lateral_blocks.{3 - level}.conv_norm_relu"
            ),
            *_pair(f"head/level{level}", f"decoder.fpn_conv_blocks.{3 - level}"),
        )
    ),
    *_pair("head/fuse", "decoder.fusion_block"),
    _LOGITS,
)
smp_segformer = by_rules(
    ("head/dense{n}", "decoder.mlp_stage.{n0}.linear"),
    *_pair("head/fuse", "decoder.fuse_stage"),
    _LOGITS,
)
_REASSEMBLE, _FUSION = "decoder.reassemble_blocks.{n0}", "decoder.fusion_blocks.{n0}"
smp_dpt = by_rules(
    ("head/readout{n}", "decoder.projection_blocks.{n0}.project.0"),
    ("head/reassemble{n}/project", f"{_REASSEMBLE}.project_to_out_channel"),
    ("head/reassemble{n}/up", TensorSpec(f"{_REASSEMBLE}.upsample", transposed=True)),
    ("head/reassemble{n}/down", f"{_REASSEMBLE}.upsample"),
    ("head/reassemble{n}/conv", f"{_REASSEMBLE}.project_to_feature_dim"),
    ("head/fuse{n}/unit{k}/conv{i}/conv", f"{_FUSION}.residual_conv_block{{k}}.conv_{{i}}"),
    ("head/fuse{n}/unit{k}/conv{i}/norm", f"{_FUSION}.residual_conv_block{{k}}.batch_norm_{{i}}"),
    ("head/fuse{n}/project", f"{_FUSION}.project"),
    *_pair("head/conv", "segmentation_head.head"),
    ("head/logits", "segmentation_head.head.4"),
)
