"""Mobile networks and EfficientNets in torchvision, timm and EfficientNet-PyTorch."""

from collections.abc import Sequence

from cnnlab.pretrained.key_maps.rules import TensorSpec, by_rules, in_order

# Of a block, in order; each but squeeze_excite is a convolution with its norm. A fused block that
# does not expand has only `conv`.
_PARTS = ("conv", "expand", "depthwise", "squeeze_excite", "project")
_KINDS = ("conv", "norm")
_NUMBERED, _STAGED = "backbone/block{b}", "backbone/stage{s}_block{b}"

# Blocks in each stage of timm, where we number them through: MobileNetV3 small and large; GhostNet;
# MobileNetV2, also in the depths of 110d and 120d.
_TIMM_STAGES = {
    11: (1, 2, 3, 2, 3),
    15: (1, 2, 3, 4, 2, 3),
    16: (1, 1, 1, 1, 1, 1, 5, 1, 4),
    17: (1, 2, 3, 4, 3, 3, 1),
    22: (1, 3, 4, 5, 4, 4, 1),
    26: (1, 3, 5, 6, 5, 5, 1),
}


def _parts(layers: Sequence[str], block: str) -> list[str]:
    present = {layer.split("/")[2] for layer in layers if layer.startswith(f"{block}/")}
    return [part for part in _PARTS if part in present]


def torchvision_v2(layers: Sequence[str]) -> dict[str, TensorSpec]:
    """Key map of MobileNetV2 in torchvision; a block's last convolution is not nested."""
    places = by_rules(("head/logits", "classifier.1"))(layers)
    blocks = in_order(layers, _NUMBERED)
    for unit, position in (("backbone/stem", 0), ("backbone/last_conv", len(blocks) + 1)):
        for kind_position, kind in enumerate(_KINDS):
            places[f"{unit}/{kind}"] = TensorSpec(f"features.{position}.{kind_position}")
    for number, block in enumerate(blocks, start=1):
        for position, part in enumerate(_parts(layers, block)):
            for kind_position, kind in enumerate(_KINDS):
                inner = f"{position}.{kind_position}"
                if part == "project":
                    inner = f"{position + kind_position}"
                places[f"{block}/{part}/{kind}"] = TensorSpec(f"features.{number}.conv.{inner}")
    return places


def torchvision_v3(layers: Sequence[str]) -> dict[str, TensorSpec]:
    """Key map in torchvision."""
    head = by_rules(("head/dense1", "classifier.0"), ("head/logits", "classifier.3"))
    blocks = in_order(layers, _NUMBERED)
    names = [f"features.{number}" for number in range(1, len(blocks) + 1)]
    return {**head(layers), **_torchvision_blocks(layers, blocks, names, len(blocks) + 1)}


def torchvision_mnasnet(layers: Sequence[str]) -> dict[str, TensorSpec]:
    """Key map of MNASNet in torchvision; stem and first block are not nested."""
    places = by_rules(("head/logits", "classifier.1"))(layers)
    blocks = in_order(layers, _STAGED)
    stages = {block.partition("_block")[0] for block in blocks}
    starts = {"backbone/stem": 0, "backbone/last_conv": len(stages) + 7}
    starts |= {f"{blocks[0]}/depthwise": 3, f"{blocks[0]}/project": 6}
    for unit, start in starts.items():
        for position, kind in enumerate(_KINDS, start):
            places[f"{unit}/{kind}"] = TensorSpec(f"layers.{position}")
    for block in blocks[1:]:
        stage, number = map(int, block.removeprefix("backbone/stage").split("_block"))
        for start, part in zip((0, 3, 6), ("expand", "depthwise", "project"), strict=True):
            for position, kind in enumerate(_KINDS, start):
                name = f"layers.{stage + 6}.{number - 1}.layers.{position}"
                places[f"{block}/{part}/{kind}"] = TensorSpec(name)
    return places


def torchvision_efficientnet(layers: Sequence[str]) -> dict[str, TensorSpec]:
    """Key map in torchvision."""
    head = by_rules(("head/logits", "classifier.1"))
    blocks = in_order(layers, _STAGED)
    numbers = [block.removeprefix("backbone/stage").split("_block") for block in blocks]
    names = [f"features.{stage}.{int(block) - 1}" for stage, block in numbers]
    return {**head(layers), **_torchvision_blocks(layers, blocks, names, int(numbers[-1][0]) + 1)}


def _torchvision_blocks(
    layers: Sequence[str], blocks: Sequence[str], names: Sequence[str], last: int
) -> dict[str, TensorSpec]:
    places = {}
    for position, kind in enumerate(_KINDS):
        places[f"backbone/stem/{kind}"] = TensorSpec(f"features.0.{position}")
        places[f"backbone/last_conv/{kind}"] = TensorSpec(f"features.{last}.{position}")
    for block, name in zip(blocks, names, strict=True):
        for position, part in enumerate(_parts(layers, block)):
            layer = f"{name}.block.{position}"
            if part == "squeeze_excite":
                places[f"{block}/squeeze_excite/reduce"] = TensorSpec(f"{layer}.fc1")
                places[f"{block}/squeeze_excite/expand"] = TensorSpec(f"{layer}.fc2")
                continue
            for kind_position, kind in enumerate(_KINDS):
                places[f"{block}/{part}/{kind}"] = TensorSpec(f"{layer}.{kind_position}")
    return places


def timm_v2(layers: Sequence[str]) -> dict[str, TensorSpec]:
    """Key map in timm."""
    names = _timm_names(len(in_order(layers, _NUMBERED)))
    return {**_timm_ends(layers), **_timm_blocks(layers, in_order(layers, _NUMBERED), names)}


def timm_v3(layers: Sequence[str]) -> dict[str, TensorSpec]:
    """Key map of MobileNetV3 in timm; its hidden dense layer is a convolution."""
    blocks = in_order(layers, _NUMBERED)
    stages = len(_TIMM_STAGES.get(len(blocks), ()))
    last = {
        "backbone/last_conv/conv": TensorSpec(f"blocks.{stages}.0.conv"),
        "backbone/last_conv/norm": TensorSpec(f"blocks.{stages}.0.bn1"),
        "head/dense1": TensorSpec("conv_head", conv=True),
    }
    names = _timm_names(len(blocks))
    return {**_timm_ends(layers), **last, **_timm_blocks(layers, blocks, names)}


def timm_efficientnet(layers: Sequence[str]) -> dict[str, TensorSpec]:
    """Key map in timm."""
    blocks = in_order(layers, _STAGED)
    numbers = [block.removeprefix("backbone/stage").split("_block") for block in blocks]
    names = [f"blocks.{int(stage) - 1}.{int(block) - 1}" for stage, block in numbers]
    return {**_timm_ends(layers), **_timm_blocks(layers, blocks, names)}


_timm_ends = by_rules(
    ("backbone/stem/conv", "conv_stem"),
    ("backbone/stem/norm", "bn1"),
    ("backbone/last_conv/conv", "conv_head"),
    ("backbone/last_conv/norm", "bn2"),
    ("head/logits", "classifier"),
)


def _timm_names(num_blocks: int) -> list[str]:
    stages = _TIMM_STAGES.get(num_blocks, ())
    return [f"blocks.{s}.{b}" for s, size in enumerate(stages) for b in range(size)]


# Without the expanding convolution, the projecting one is the only pointwise one.
_TIMM_CONVS = {
    ("conv",): ("conv",),
    ("expand", "project"): ("conv_exp", "conv_pwl"),
    ("depthwise", "project"): ("conv_dw", "conv_pw"),
    ("expand", "depthwise", "project"): ("conv_pw", "conv_dw", "conv_pwl"),
}


def _timm_blocks(
    layers: Sequence[str], blocks: Sequence[str], names: Sequence[str]
) -> dict[str, TensorSpec]:
    places = {}
    for block, name in zip(blocks, names, strict=False):
        parts = [part for part in _parts(layers, block) if part != "squeeze_excite"]
        for number, (part, conv) in enumerate(
            zip(parts, _TIMM_CONVS[tuple(parts)], strict=True), 1
        ):
            places[f"{block}/{part}/conv"] = TensorSpec(f"{name}.{conv}")
            places[f"{block}/{part}/norm"] = TensorSpec(f"{name}.bn{number}")
        for layer in ("reduce", "expand"):
            places[f"{block}/squeeze_excite/{layer}"] = TensorSpec(f"{name}.se.conv_{layer}")
    return places


_UIB, _TIMM_UIB = "backbone/stage{s}_uib{b}", "blocks.{s0}.{b0}"

# MobileNetV4 in timm; the last 1x1 convolution is a fifth stage there.
timm_v4 = by_rules(
    ("backbone/stem/conv", "conv_stem"),
    ("backbone/stem/norm", "bn1"),
    *(
        (f"{_UIB}/{ours}/{kind}", f"{_TIMM_UIB}.{theirs}.{their_kind}")
        for ours, theirs in (
            ("start_depthwise", "dw_start"),
            ("expand", "pw_exp"),
            ("depthwise", "dw_mid"),
            ("project", "pw_proj"),
        )
        for kind, their_kind in (("conv", "conv"), ("norm", "bn"))
    ),
    ("backbone/stage{s}_fused{b}/expand/conv", f"{_TIMM_UIB}.conv_exp"),
    ("backbone/stage{s}_fused{b}/expand/norm", f"{_TIMM_UIB}.bn1"),
    ("backbone/stage{s}_fused{b}/project/conv", f"{_TIMM_UIB}.conv_pwl"),
    ("backbone/stage{s}_fused{b}/project/norm", f"{_TIMM_UIB}.bn2"),
    ("backbone/stage{s}_conv{b}/conv", f"{_TIMM_UIB}.conv"),
    ("backbone/stage{s}_conv{b}/norm", f"{_TIMM_UIB}.bn1"),
    ("backbone/last_conv/conv", "blocks.4.0.conv"),
    ("backbone/last_conv/norm", "blocks.4.0.bn1"),
    ("head/dense1", TensorSpec("conv_head", conv=True)),
    ("head/norm", "norm_head"),
    ("head/logits", "classifier"),
)


# The convolutions of a Ghost bottleneck and their norms in timm.
_GHOST = {
    **{
        f"ghost{n}/{ours}": (f"ghost{n}.{theirs}", f"ghost{n}.{their_norm}")
        for n in (1, 2)
        for ours, theirs, their_norm in (
            ("primary", "primary_conv.0", "primary_conv.1"),
            ("cheap", "cheap_operation.0", "cheap_operation.1"),
            ("gate", "short_conv.0", "short_conv.1"),
            ("gate_row", "short_conv.2", "short_conv.3"),
            ("gate_column", "short_conv.4", "short_conv.5"),
        )
    },
    "depthwise": ("conv_dw", "bn_dw"),
    "shortcut_depthwise": ("shortcut.0", "shortcut.1"),
    "shortcut_project": ("shortcut.2", "shortcut.3"),
}


def timm_ghostnet(layers: Sequence[str]) -> dict[str, TensorSpec]:
    """Key map of GhostNet and GhostNetV2 in timm; the hidden dense layer is a convolution."""
    blocks = in_order(layers, _NUMBERED)
    places = {
        **_timm_ends(layers),
        "backbone/last_conv/conv": TensorSpec("blocks.9.0.conv"),
        "backbone/last_conv/norm": TensorSpec("blocks.9.0.bn1"),
        "head/dense1": TensorSpec("conv_head", conv=True),
    }
    for block, name in zip(blocks, _timm_names(len(blocks)), strict=False):
        for part, theirs in _GHOST.items():
            for kind, layer in zip(_KINDS, theirs, strict=True):
                places[f"{block}/{part}/{kind}"] = TensorSpec(f"{name}.{layer}")
        for layer in ("reduce", "expand"):
            places[f"{block}/squeeze_excite/{layer}"] = TensorSpec(f"{name}.se.conv_{layer}")
    return places


def efficientnet_pytorch(layers: Sequence[str]) -> dict[str, TensorSpec]:
    """Key map of the package EfficientNet-PyTorch and the Lite files; also of smp's encoders."""
    ends = by_rules(
        ("backbone/stem/conv", "_conv_stem"),
        ("backbone/stem/norm", "_bn0"),
        ("backbone/last_conv/conv", "_conv_head"),
        ("backbone/last_conv/norm", "_bn1"),
        ("head/logits", "_fc"),
    )
    places = ends(layers)
    for number, block in enumerate(in_order(layers, _STAGED)):
        for norm, part in enumerate(("expand", "depthwise", "project")):
            places[f"{block}/{part}/conv"] = TensorSpec(f"_blocks.{number}._{part}_conv")
            places[f"{block}/{part}/norm"] = TensorSpec(f"_blocks.{number}._bn{norm}")
        for layer in ("reduce", "expand"):
            places[f"{block}/squeeze_excite/{layer}"] = TensorSpec(f"_blocks.{number}._se_{layer}")
    return places
