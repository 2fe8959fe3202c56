"""Segmentation networks of torchvision and of segmentation_models_pytorch, on any encoder."""

import dataclasses
from collections.abc import Sequence

from cnnlab.pretrained.names.rules import Naming, Place, Rule, by_rules

_BLOCKS = "decoder.blocks"


def on_encoder(encoder: Naming, prefix: str, decoder: Naming) -> Naming:
    """The naming of a network: its encoder's, behind a prefix, and its decoder's."""

    def naming(layers: Sequence[str]) -> dict[str, Place]:
        inner = encoder([layer for layer in layers if layer.startswith("backbone/")])
        # Some namings name layers of a head that this network does not have.
        return decoder(layers) | {
            layer: dataclasses.replace(place, name=f"{prefix}{place.name}")
            for layer, place in inner.items()
            if layer in layers
        }

    return naming


def _pair(ours: str, theirs: str, first: int = 0) -> tuple[Rule, Rule]:
    """A convolution and the norm after it, neighbours in a sequence there."""
    return (f"{ours}/conv", f"{theirs}.{first}"), (f"{ours}/norm", f"{theirs}.{first + 1}")


def _pyramid(theirs: str, separable: bool = False) -> tuple[Rule, ...]:
    """Atrous spatial pyramid pooling, which both libraries have alike."""
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
torchvision_deeplabv3 = by_rules(
    *_pyramid("classifier.0"), *_pair("head/conv", "classifier", 1),
    ("head/logits", "classifier.4"), *_AUX,
)  # fmt: skip

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
    ("head/level{n}/up", Place(f"{_BLOCKS}.{{n0}}.block.1.0", transposed=True)),
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
