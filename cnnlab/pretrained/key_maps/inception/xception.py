"""Xception and aligned Xception in timm."""

from cnnlab.pretrained.key_maps.rules import KeyMap, Rule, by_rules


def _block(ours: str, theirs: str, *, convs: int = 3, first: int = 1) -> tuple[Rule, ...]:
    """Rules of a block whose layers are numbered through there, activations too.

    Args:
      ours: name of the block here.
      theirs: name there.
      convs: number of separable convolutions.
      first: number of the first one there.
    """
    inside = tuple(
        rule
        for number in range(convs)
        for here in [f"backbone/{ours}/conv{number + 1}"]
        for place in [first + 3 * number]
        for rule in (
            (f"{here}/depthwise/conv", f"{theirs}.rep.{place}.conv1"),
            (f"{here}/pointwise/conv", f"{theirs}.rep.{place}.pointwise"),
            (f"{here}/pointwise/norm", f"{theirs}.rep.{place + 1}"),
        )
    )
    return (
        *inside,
        (f"backbone/{ours}/shortcut/conv", f"{theirs}.skip"),
        (f"backbone/{ours}/shortcut/norm", f"{theirs}.skipbn"),
    )


timm = by_rules(
    ("backbone/stem{n}/conv", "conv{n}"),
    ("backbone/stem{n}/norm", "bn{n}"),
    *_block("entry1", "block1", convs=2, first=0),
    *_block("entry{n}", "block{n}", convs=2),
    *(rule for n in range(1, 9) for rule in _block(f"middle{n}", f"block{n + 3}")),
    *_block("exit", "block12", convs=2),
    *(
        (f"backbone/exit_conv{n}/{ours}", theirs)
        for n in (1, 2)
        for ours, theirs in (
            ("depthwise/conv", f"conv{n + 2}.conv1"),
            ("pointwise/conv", f"conv{n + 2}.pointwise"),
            ("pointwise/norm", f"bn{n + 2}"),
        )
    ),
    ("head/logits", "fc"),
)


_ALIGNED, _STACK = "backbone/block{b}", "blocks.{b0}.stack.conv{n}"


def _aligned(*more: Rule) -> KeyMap:
    return by_rules(
        ("backbone/stem1/conv", "stem.0.conv"),
        ("backbone/stem1/norm", "stem.0.bn"),
        (f"{_ALIGNED}/depthwise{{n}}/conv", f"{_STACK}.conv_dw"),
        (f"{_ALIGNED}/pointwise{{n}}/conv", f"{_STACK}.conv_pw"),
        *more,
        ("head/logits", "head.fc"),
    )


timm_aligned = _aligned(
    ("backbone/stem2/conv", "stem.1.conv"),
    ("backbone/stem2/norm", "stem.1.bn"),
    (f"{_ALIGNED}/shortcut/conv", "blocks.{b0}.shortcut.conv"),
    (f"{_ALIGNED}/shortcut/norm", "blocks.{b0}.shortcut.bn"),
    (f"{_ALIGNED}/depthwise{{n}}/norm", f"{_STACK}.bn_dw"),
    (f"{_ALIGNED}/pointwise{{n}}/norm", f"{_STACK}.bn_pw"),
)
timm_aligned_preact = _aligned(
    ("backbone/stem2/conv", "stem.1"),
    (f"{_ALIGNED}/shortcut/conv", "blocks.{b0}.shortcut"),
    (f"{_ALIGNED}/norm1", "blocks.{b0}.norm"),
    (f"{_ALIGNED}/norm{{n}}", f"{_STACK}.norm"),
)
