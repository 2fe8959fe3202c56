"""RegNetY in torchvision and in timm."""

from cnnlab.pretrained.key_maps.rules import by_rules

_BLOCK = "backbone/stage{s}_block{b}"
_TV = "trunk_output.block{s}.block{s}-{b0}"
_TIMM = "s{s}.b{b}"

torchvision = by_rules(
    ("backbone/stem/conv", "stem.0"),
    ("backbone/stem/norm", "stem.1"),
    *(
        (f"{_BLOCK}/conv{number}/{kind}", f"{_TV}.f.{letter}.{position}")
        for number, letter in enumerate("abc", start=1)
        for position, kind in enumerate(("conv", "norm"))
    ),
    (f"{_BLOCK}/shortcut/conv", f"{_TV}.proj.0"),
    (f"{_BLOCK}/shortcut/norm", f"{_TV}.proj.1"),
    (f"{_BLOCK}/squeeze_excite/reduce", f"{_TV}.f.se.fc1"),
    (f"{_BLOCK}/squeeze_excite/expand", f"{_TV}.f.se.fc2"),
    ("head/logits", "fc"),
)

timm = by_rules(
    ("backbone/stem/conv", "stem.conv"),
    ("backbone/stem/norm", "stem.bn"),
    (f"{_BLOCK}/shortcut/conv", f"{_TIMM}.downsample.conv"),
    (f"{_BLOCK}/shortcut/norm", f"{_TIMM}.downsample.bn"),
    (f"{_BLOCK}/squeeze_excite/reduce", f"{_TIMM}.se.fc1"),
    (f"{_BLOCK}/squeeze_excite/expand", f"{_TIMM}.se.fc2"),
    (f"{_BLOCK}/{{unit}}/conv", f"{_TIMM}.{{unit}}.conv"),
    (f"{_BLOCK}/{{unit}}/norm", f"{_TIMM}.{{unit}}.bn"),
    ("head/logits", "head.fc"),
)
