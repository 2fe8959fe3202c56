"""ConvNeXt in torchvision and in timm."""

from cnnlab.pretrained.key_maps.rules import KeyMap, TensorSpec, by_rules

_STAGES = range(1, 5)

# There, stages and the downsampling between them are numbered through.
torchvision = by_rules(
    ("backbone/stem_conv", "features.0.0"),
    ("backbone/stem_norm", "features.0.1"),
    *(
        rule
        for stage in _STAGES
        for block in [f"backbone/stage{stage}_block{{b}}"]
        for name in [f"features.{2 * stage - 1}.{{b0}}"]
        for rule in (
            (f"{block}/depthwise", f"{name}.block.0"),
            (f"{block}/norm", f"{name}.block.2"),
            (f"{block}/expand", f"{name}.block.3"),
            (f"{block}/project", f"{name}.block.5"),
            (block, TensorSpec(name, layer_scale=("layer_scale", (-1, 1, 1)))),
            (f"backbone/transition{stage}_norm", f"features.{2 * stage}.0"),
            (f"backbone/transition{stage}_conv", f"features.{2 * stage}.1"),
        )
    ),
    ("head/norm", "classifier.0"),
    ("head/logits", "classifier.2"),
)  # fmt: skip

_BLOCK, _TIMM = "backbone/stage{s}_block{b}", "stages.{s0}.blocks.{b0}"


def _timm(*, conv: bool) -> KeyMap:
    return by_rules(
        ("backbone/stem_conv", "stem.0"),
        ("backbone/stem_norm", "stem.1"),
        ("backbone/transition{t}_norm", "stages.{t}.downsample.0"),
        ("backbone/transition{t}_conv", "stages.{t}.downsample.1"),
        (f"{_BLOCK}/depthwise", f"{_TIMM}.conv_dw"),
        (f"{_BLOCK}/norm", f"{_TIMM}.norm"),
        (f"{_BLOCK}/expand", TensorSpec(f"{_TIMM}.mlp.fc1", conv=conv)),
        (f"{_BLOCK}/response_norm", f"{_TIMM}.mlp.grn"),
        (f"{_BLOCK}/project", TensorSpec(f"{_TIMM}.mlp.fc2", conv=conv)),
        (_BLOCK, TensorSpec(_TIMM, layer_scale=("gamma", (-1,)))),
        ("head/norm", "head.norm"),
        ("head/logits", "head.fc"),
    )


timm = _timm(conv=False)
# Of the small networks, whose dense layers are 1x1 convolutions there.
timm_small = _timm(conv=True)
