"""HRNet in timm."""

from cnnlab.pretrained.key_maps.rules import Rule, by_rules


def _unit(ours: str, theirs: str) -> tuple[Rule, ...]:
    return ((f"{ours}/conv", f"{theirs}.0"), (f"{ours}/norm", f"{theirs}.1"))


def _block(ours: str, theirs: str) -> tuple[Rule, ...]:
    return (
        (f"{ours}/conv{{n}}", f"{theirs}.conv{{n}}"),
        (f"{ours}/norm{{n}}", f"{theirs}.bn{{n}}"),
        (f"{ours}/shortcut_conv", f"{theirs}.downsample.0"),
        (f"{ours}/shortcut_norm", f"{theirs}.downsample.1"),
    )


_MODULE, _THEIRS = "backbone/stage{s}_module{m}", "stage{s}.{m0}"
_EXCHANGE, _FUSE = f"{_MODULE}/branch{{j}}_to_branch{{i}}", f"{_THEIRS}.fuse_layers.{{i0}}.{{j0}}"

timm = by_rules(
    ("backbone/stem{n}/conv", "conv{n}"),
    ("backbone/stem{n}/norm", "bn{n}"),
    *_block("backbone/stage1_block{b}", "layer1.{b0}"),
    *_unit("backbone/transition{t}_branch1", "transition{t}.0"),
    *_unit("backbone/transition{t}_branch{i}", "transition{t}.{i0}.0"),
    *_block(f"{_MODULE}/branch{{i}}_block{{b}}", f"{_THEIRS}.branches.{{i0}}.{{b0}}"),
    *_unit(_EXCHANGE, _FUSE),
    *_unit(f"{_EXCHANGE}_{{k}}", f"{_FUSE}.{{k0}}"),
    *_block("backbone/branch{i}_block", "incre_modules.{i0}.0"),
    *_unit("head/downsample{n}", "downsamp_modules.{n0}"),
    *_unit("head/widen", "final_layer"),
    ("head/logits", "classifier"),
)
