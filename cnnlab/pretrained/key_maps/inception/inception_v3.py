"""Inception v3 in torchvision and timm, which have the same names."""

from cnnlab.pretrained.key_maps.rules import by_rules

_FIFTH = {
    "branch1_conv1": "branch1x1",
    "branch2_conv{i}": "branch5x5_{i}",
    "branch3_conv{i}": "branch3x3dbl_{i}",
}
_SIXTH = {
    "branch1_conv1": "branch1x1",
    "branch2_conv{i}": "branch7x7_{i}",
    "branch3_conv{i}": "branch7x7dbl_{i}",
}
_SEVENTH = {
    "branch1_conv1": "branch1x1",
    "branch2_conv{i}": "branch3x3_{i}",
    "branch3_conv{i}": "branch3x3dbl_{i}",
}
_BRANCHES = {
    "5b": _FIFTH,
    "5c": _FIFTH,
    "5d": _FIFTH,
    "6a": {"branch1_conv1": "branch3x3", "branch2_conv{i}": "branch3x3dbl_{i}"},
    "6b": _SIXTH,
    "6c": _SIXTH,
    "6d": _SIXTH,
    "6e": _SIXTH,
    "7a": {"branch1_conv{i}": "branch3x3_{i}", "branch2_conv{i}": "branch7x7x3_{i}"},
    "7b": _SEVENTH,
    "7c": _SEVENTH,
}
_STEM = {"1a": "1a_3x3", "2a": "2a_3x3", "2b": "2b_3x3", "3b": "3b_1x1", "4a": "4a_3x3"}
_UNITS = {
    **{f"backbone/stem{ours}": f"Conv2d_{theirs}" for ours, theirs in _STEM.items()},
    **{
        f"backbone/mixed{block}/{ours}": f"Mixed_{block}.{theirs}"
        for block, branches in _BRANCHES.items()
        for ours, theirs in (branches | {"pooled": "branch_pool"}).items()
    },
    "head/aux/conv{n}": "AuxLogits.conv{n0}",
}

naming = by_rules(
    *(
        (f"{ours}/{layer}", f"{theirs}.{kind}")
        for ours, theirs in _UNITS.items()
        for layer, kind in (("conv", "conv"), ("norm", "bn"))
    ),
    ("head/aux/logits", "AuxLogits.fc"),
    ("head/logits", "fc"),
)

# Tensors that a network without the auxiliary classifier, or a file of one, lacks.
OPTIONAL = r"AuxLogits\..*"
