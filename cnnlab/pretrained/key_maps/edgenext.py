"""EdgeNeXt in timm."""

from cnnlab.pretrained.key_maps.rules import TensorSpec, by_rules

_BLOCK, _ATTENTION = "backbone/stage{s}_block{b}", "backbone/stage{s}_attention{b}"
_TIMM = "stages.{s0}.blocks.{b0}"

timm = by_rules(
    ("backbone/stem_conv", "stem.0"),
    ("backbone/stem_norm", "stem.1"),
    ("backbone/transition{t}_norm", "stages.{t}.downsample.0"),
    ("backbone/transition{t}_conv", "stages.{t}.downsample.1"),
    (f"{_BLOCK}/depthwise", f"{_TIMM}.conv_dw"),
    (_BLOCK, TensorSpec(_TIMM, layer_scale=("gamma", (-1,)))),
    *(
        (f"{block}/{ours}", f"{_TIMM}.{theirs}")
        for block in (_BLOCK, _ATTENTION)
        for ours, theirs in (("norm", "norm"), ("expand", "mlp.fc1"), ("project", "mlp.fc2"))
    ),
    (f"{_ATTENTION}/split_conv{{n}}", f"{_TIMM}.convs.{{n0}}"),
    (
        f"{_ATTENTION}/position_embedding/projection",
        TensorSpec(f"{_TIMM}.pos_embd.token_projection", conv=True),
    ),
    (f"{_ATTENTION}/attention_norm", f"{_TIMM}.norm_xca"),
    (
        f"{_ATTENTION}/attention",
        TensorSpec(f"{_TIMM}.xca", leaves={"temperature": "temperature"}),
    ),
    (f"{_ATTENTION}/attention/qkv", f"{_TIMM}.xca.qkv"),
    (f"{_ATTENTION}/attention/out", f"{_TIMM}.xca.proj"),
    (
        _ATTENTION,
        TensorSpec(_TIMM, leaves={"attention_scale": "gamma_xca", "mlp_scale": "gamma"}),
    ),
    ("head/norm", "head.norm"),
    ("head/logits", "head.fc"),
)
