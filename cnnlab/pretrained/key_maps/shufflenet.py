"""ShuffleNetV2 in torchvision."""

from cnnlab.pretrained.key_maps.rules import by_rules

_OURS, _THEIRS = "backbone/stage{s}_block{b}", "stage{s}.{b0}"

# Of each convolution, its branch there and its position in it; the norm follows.
_CONVS = {
    "shortcut_depthwise": (1, 0),
    "shortcut_pointwise": (1, 2),
    "pointwise1": (2, 0),
    "depthwise": (2, 3),
    "pointwise2": (2, 5),
}

torchvision = by_rules(
    *(
        rule
        for position, kind in enumerate(("conv", "norm"))
        for rule in (
            (f"backbone/stem/{kind}", f"conv1.{position}"),
            (f"backbone/last_conv/{kind}", f"conv5.{position}"),
            *(
                (f"{_OURS}/{layer}/{kind}", f"{_THEIRS}.branch{branch}.{start + position}")
                for layer, (branch, start) in _CONVS.items()
            ),
        )
    ),
    ("head/logits", "fc"),
)
