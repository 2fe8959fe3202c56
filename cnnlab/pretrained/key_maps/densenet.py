"""DenseNet in torchvision and timm, which have the same names."""

from cnnlab.pretrained.key_maps.rules import KeyMap, by_rules


def _naming(layer: str) -> KeyMap:
    return by_rules(
        ("backbone/stem/{kind}", "features.{kind}0"),
        ("backbone/block{b}_layer{n}/norm{i}", f"features.denseblock{{b}}.denselayer{{n}}.{layer}"),
        ("backbone/block{b}_layer{n}/conv{i}",
         f"features.denseblock{{b}}.denselayer{{n}}.{layer}".replace("norm", "conv")),
        ("backbone/transition{t}/{kind}", "features.transition{t}.{kind}"),
        ("backbone/final_norm", "features.norm5"),
        ("head/logits", "classifier"),
    )  # fmt: skip


today = _naming("norm{i}")
# The files that torchvision offers for download date from before its version 0.3.
downloads = _naming("norm.{i}")
