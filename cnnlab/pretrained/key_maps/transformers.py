"""ViT in torchvision and in timm, MaxViT in torchvision, MiT in smp."""

from cnnlab.pretrained.key_maps.rules import KeyMap, Rule, TensorSpec, by_rules
from cnnlab.pretrained.key_maps.swin import relative_index


def _tokens(token: str, embedding: str, **more: str) -> Rule:
    names = {"class_token": token, "position_embedding": embedding, **more}
    return ("backbone", TensorSpec("", leaves=names))


def _torchvision_vit(mlp: tuple[str, str]) -> KeyMap:
    ours, theirs = "backbone/block{b}", "encoder.layers.encoder_layer_{b0}"
    joined = {"kernel": "in_proj_weight", "bias": "in_proj_bias"}
    return by_rules(
        _tokens("class_token", "encoder.pos_embedding"),
        ("backbone/patches", "conv_proj"),
        (f"{ours}/attention_norm", f"{theirs}.ln_1"),
        (f"{ours}/attention/qkv", TensorSpec(f"{theirs}.self_attention", leaves=joined)),
        (f"{ours}/attention/out", f"{theirs}.self_attention.out_proj"),
        (f"{ours}/mlp_norm", f"{theirs}.ln_2"),
        (f"{ours}/mlp/expand", f"{theirs}.mlp.{mlp[0]}"),
        (f"{ours}/mlp/project", f"{theirs}.mlp.{mlp[1]}"),
        ("backbone/norm", "encoder.ln"),
        ("head/logits", "heads.head"),
    )


vit_torchvision = _torchvision_vit(("0", "3"))
# Of the files that it offers.
vit_torchvision_downloads = _torchvision_vit(("linear_1", "linear_2"))

_BLOCK, _TIMM = "backbone/block{b}", "blocks.{b0}"

# Files of networks that were trained without classes, as DINOv2's, have no head.
OPTIONAL = r"head(_dist)?\..*"

vit_timm = by_rules(
    _tokens("cls_token", "pos_embed", distillation_token="dist_token", registers="reg_token"),
    ("backbone/patches", "patch_embed.proj"),
    (
        _BLOCK,
        TensorSpec(_TIMM, leaves={"attention_scale": "ls1.gamma", "mlp_scale": "ls2.gamma"}),
    ),
    (f"{_BLOCK}/attention_norm", f"{_TIMM}.norm1"),
    (f"{_BLOCK}/attention/qkv", f"{_TIMM}.attn.qkv"),
    (f"{_BLOCK}/attention/out", f"{_TIMM}.attn.proj"),
    (f"{_BLOCK}/mlp_norm", f"{_TIMM}.norm2"),
    (f"{_BLOCK}/mlp/expand", f"{_TIMM}.mlp.fc1"),
    (f"{_BLOCK}/mlp/project", f"{_TIMM}.mlp.fc2"),
    ("backbone/norm", "norm"),
    ("head/logits", "head"),
    ("head/distilled_logits", "head_dist"),
)


def _maxvit_attention(ours: str, theirs: str) -> tuple[Rule, ...]:
    attention, mlp = f"{theirs}.attn_layer", f"{theirs}.mlp_layer"
    index = {"relative_position_index": relative_index(7).reshape(49, 49)}
    bias = {"position_bias": "relative_position_bias_table"}
    return (
        (f"{ours}/attention_norm", f"{attention}.0"),
        (f"{ours}/attention", TensorSpec(f"{attention}.1", leaves=bias, constants=index)),
        (f"{ours}/attention/qkv", f"{attention}.1.to_qkv"),
        (f"{ours}/attention/out", f"{attention}.1.merge"),
        (f"{ours}/mlp_norm", f"{mlp}.0"),
        (f"{ours}/mlp/expand", f"{mlp}.1"),
        (f"{ours}/mlp/project", f"{mlp}.3"),
    )


_MAXVIT, _LAYERS = "backbone/stage{s}_block{b}", "blocks.{s0}.layers.{b0}.layers"
_MBCONV = f"{_LAYERS}.MBconv.layers"

maxvit_torchvision = by_rules(
    ("backbone/stem{n}/conv", "stem.{n0}.0"),
    ("backbone/stem{n}/norm", "stem.{n0}.1"),
    (f"{_MAXVIT}/conv/shortcut", f"{_LAYERS}.MBconv.proj.1"),
    (f"{_MAXVIT}/conv/norm", f"{_MBCONV}.pre_norm"),
    *(
        (f"{_MAXVIT}/conv/{ours}/{layer}", f"{_MBCONV}.{theirs}.{place}")
        for ours, theirs in (("expand", "conv_a"), ("depthwise", "conv_b"))
        for place, layer in enumerate(("conv", "norm"))
    ),
    (f"{_MAXVIT}/conv/squeeze_excite/reduce", f"{_MBCONV}.squeeze_excitation.fc1"),
    (f"{_MAXVIT}/conv/squeeze_excite/expand", f"{_MBCONV}.squeeze_excitation.fc2"),
    (f"{_MAXVIT}/conv/project", f"{_MBCONV}.conv_c"),
    *_maxvit_attention(f"{_MAXVIT}/window", f"{_LAYERS}.window_attention"),
    *_maxvit_attention(f"{_MAXVIT}/grid", f"{_LAYERS}.grid_attention"),
    ("head/norm", "classifier.2"),
    ("head/dense1", "classifier.3"),
    ("head/logits", "classifier.5"),
)

_MIT, _MIT_BLOCK = "backbone/stage{s}_block{b}", "block{s}.{b0}"

mit_smp = by_rules(
    ("backbone/patches{s}", "patch_embed{s}.proj"),
    ("backbone/patches{s}_norm", "patch_embed{s}.norm"),
    ("backbone/norm{s}", "norm{s}"),
    *(
        (f"{_MIT}_{ours}", f"{_MIT_BLOCK}.{theirs}")
        for ours, theirs in (
            ("attention_norm", "norm1"),
            ("attention/query", "attn.q"),
            ("attention/key_value", "attn.kv"),
            ("attention/reduce", "attn.sr"),
            ("attention/reduce_norm", "attn.norm"),
            ("attention/out", "attn.proj"),
            ("mlp_norm", "norm2"),
            ("mlp/expand", "mlp.fc1"),
            ("mlp/depthwise", "mlp.dwconv.dwconv"),
            ("mlp/project", "mlp.fc2"),
        )
    ),
)
