"""DLA in timm: a tree of blocks in each stage, whose layers are named by their path in it."""

from cnnlab.pretrained.key_maps.rules import Rule, TensorSpec, by_rules


def _block(tree: str) -> tuple[Rule, ...]:
    ours, theirs = f"backbone/{tree}", tree.replace("/", ".")
    return (
        (f"{ours}/root/conv", f"{theirs}.root.conv"),
        (f"{ours}/root/norm", f"{theirs}.root.bn"),
        (f"{ours}/project/conv", f"{theirs}.project.0"),
        (f"{ours}/project/norm", f"{theirs}.project.1"),
        (f"{ours}/conv{{n}}", f"{theirs}.conv{{n}}"),
        (f"{ours}/norm{{n}}", f"{theirs}.bn{{n}}"),
        (f"{ours}/conv2_{{part}}", f"{theirs}.convs.{{part0}}"),
        (f"{ours}/norm2_{{part}}", f"{theirs}.bns.{{part0}}"),
    )


# Blocks of dla169 are up to five trees below their stage.
_DEPTHS = range(6)

timm = by_rules(
    ("backbone/stem/conv", "base_layer.0"),
    ("backbone/stem/norm", "base_layer.1"),
    ("backbone/level{l}/conv", "level{l}.0"),
    ("backbone/level{l}/norm", "level{l}.1"),
    *(
        rule
        for depth in _DEPTHS
        for rule in _block("level{l}" + "".join(f"/tree{{t{level}}}" for level in range(depth)))
    ),
    ("head/logits", TensorSpec("fc", conv=True)),
)
