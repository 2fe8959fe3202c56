"""RepVGG with its branches, as it is trained, in timm."""

from cnnlab.pretrained.key_maps.rules import Rule, by_rules


def _block(ours: str, theirs: str) -> tuple[Rule, ...]:
    return (
        (f"backbone/{ours}/conv3x3/conv", f"{theirs}.conv_kxk.conv"),
        (f"backbone/{ours}/conv3x3/norm", f"{theirs}.conv_kxk.bn"),
        (f"backbone/{ours}/conv1x1/conv", f"{theirs}.conv_1x1.conv"),
        (f"backbone/{ours}/conv1x1/norm", f"{theirs}.conv_1x1.bn"),
        (f"backbone/{ours}/identity", f"{theirs}.identity"),
    )


timm = by_rules(
    *_block("stem", "stem"),
    *_block("stage{s}_block{b}", "stages.{s0}.{b0}"),
    ("head/logits", "head.fc"),
)
