"""Inception v4 and Inception-ResNet v2 in timm."""

from collections.abc import Iterable

from cnnlab.pretrained.key_maps.rules import KeyMap, Rule, by_rules


def _units(rows: Iterable[tuple[str, str]], *more: Rule) -> KeyMap:
    """Key map of convolutions with norms, by their names here and there, and of other layers."""
    return by_rules(
        *(
            (f"backbone/{ours}/{layer}", f"{theirs}.{name}")
            for ours, theirs in rows
            for layer, name in (("conv", "conv"), ("norm", "bn"))
        ),
        *more,
    )


# A branch of one convolution has no numbers there, and pairs side by side have letters.
_LONE = ("branch1_conv1", "branch0")
_BRANCHES = tuple((f"branch{n}_conv{{i}}", f"branch{n - 1}.{{i0}}") for n in (2, 3))
_PAIRED = (
    ("branch2_conv1", "branch1_0"),
    ("branch2_conv2{letter}", "branch1_1{letter}"),
    ("branch3_conv1", "branch2_0"),
    ("branch3_conv2", "branch2_1"),
    ("branch3_conv3", "branch2_2"),
    ("branch3_conv4{letter}", "branch2_3{letter}"),
)
# The number there of the first block of each stage, the number of its blocks, and their branches.
_STAGES = {1: (6, 4, _BRANCHES), 2: (11, 7, _BRANCHES), 3: (19, 3, _PAIRED)}

inception_v4 = _units(
    (
        *((f"stem{n}", f"features.{n - 1}") for n in (1, 2, 3)),
        ("stem4", "features.3.conv"),
        ("stem5_branch1_conv{i}", "features.4.branch0.{i0}"),
        ("stem5_branch2_conv{i}", "features.4.branch1.{i0}"),
        ("stem6", "features.5.conv"),
        ("stage2_reduction/branch1_conv1", "features.10.branch0"),
        ("stage2_reduction/branch2_conv{i}", "features.10.branch1.{i0}"),
        ("stage3_reduction/branch1_conv{i}", "features.18.branch0.{i0}"),
        ("stage3_reduction/branch2_conv{i}", "features.18.branch1.{i0}"),
        *(
            (f"stage{stage}_block{number + 1}/{ours}", f"features.{first + number}.{theirs}")
            for stage, (first, size, branches) in _STAGES.items()
            for number in range(size)
            for ours, theirs in (_LONE, *branches, ("pooled", "branch3.1"))
        ),
    ),
    ("head/logits", "last_linear"),
)

_RESIDUAL = {
    "stage1_block{b}": "repeat.{b0}",
    "stage2_block{b}": "repeat_1.{b0}",
    "stage3_block{b}": "repeat_2.{b0}",
    "last_block": "block8",
}
_STEM = {"1": "1a", "2": "2a", "3": "2b", "4": "3b", "5": "4a"}

inception_resnet_v2 = _units(
    (
        *((f"stem{ours}", f"conv2d_{theirs}") for ours, theirs in _STEM.items()),
        ("stage1_transition/branch1_conv1", "mixed_5b.branch0"),
        ("stage1_transition/branch{x}_conv{i}", "mixed_5b.branch{x0}.{i0}"),
        ("stage1_transition/pooled", "mixed_5b.branch3.1"),
        ("stage2_transition/branch1_conv1", "mixed_6a.branch0"),
        ("stage2_transition/branch{x}_conv{i}", "mixed_6a.branch{x0}.{i0}"),
        ("stage3_transition/branch{x}_conv{i}", "mixed_7a.branch{x0}.{i0}"),
        *(
            (f"{ours}/branches/{branch}", f"{theirs}.{name}")
            for ours, theirs in _RESIDUAL.items()
            for branch, name in (_LONE, *_BRANCHES)
        ),
        ("last_conv", "conv2d_7b"),
    ),
    *((f"backbone/{ours}/project/conv", f"{theirs}.conv2d") for ours, theirs in _RESIDUAL.items()),
    ("head/logits", "classif"),
)
