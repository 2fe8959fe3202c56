"""Swin transformers in torchvision and in timm."""

import numpy as np

from cnnlab.nn.attention.window_attention import log_distances
from cnnlab.pretrained.key_maps.rules import KeyMap, Rule, TensorSpec, by_rules


def relative_index(window: int) -> np.ndarray:
    """Index in the table of distances for each pair of positions in a window, [window**4]."""
    rows, columns = (at.ravel() for at in np.indices((window, window)))
    down, right = (at[:, None] - at[None, :] + window - 1 for at in (rows, columns))
    return (down * (2 * window - 1) + right).ravel().astype(np.int64)


def _coordinates(window: int) -> np.ndarray:
    reach = window - 1
    distances = np.stack(np.mgrid[-reach : reach + 1, -reach : reach + 1], axis=-1)
    return log_distances(distances, reach)[None]


def _torchvision(attention: TensorSpec, *more: Rule) -> KeyMap:
    # There, stages and the merging between them are numbered through.
    return by_rules(
        ("backbone/patches", "features.0.0"),
        ("backbone/patches_norm", "features.0.2"),
        *(
            rule
            for stage in range(1, 5)
            for ours in [f"backbone/stage{stage}_block{{b}}"]
            for theirs in [f"features.{2 * stage - 1}.{{b0}}"]
            for rule in (
                (f"backbone/merge{stage}/reduce", f"features.{2 * stage - 2}.reduction"),
                (f"backbone/merge{stage}/norm", f"features.{2 * stage - 2}.norm"),
                (f"{ours}/attention_norm", f"{theirs}.norm1"),
                (
                    f"{ours}/attention",
                    TensorSpec(
                        f"{theirs}.attn", leaves=attention.leaves, constants=attention.constants
                    ),
                ),
                (f"{ours}/attention/qkv", f"{theirs}.attn.qkv"),
                (f"{ours}/attention/out", f"{theirs}.attn.proj"),
                *((f"{ours}/{name}", f"{theirs}.{place}") for name, place in more),
                (f"{ours}/mlp_norm", f"{theirs}.norm2"),
                (f"{ours}/mlp/expand", f"{theirs}.mlp.0"),
                (f"{ours}/mlp/project", f"{theirs}.mlp.3"),
            )
        ),
        ("backbone/norm", "norm"),
        ("head/logits", "head"),
    )


_CONTINUOUS_BIAS = (
    ("attention/bias_hidden", "attn.cpb_mlp.0"),
    ("attention/bias", "attn.cpb_mlp.2"),
)
_POSITION = {"position_bias": "relative_position_bias_table"}

torchvision = _torchvision(
    TensorSpec(
        "",
        leaves=_POSITION,
        constants={"relative_position_index": relative_index(7)},
    )
)
torchvision_v2 = _torchvision(
    TensorSpec(
        "",
        leaves={"logit_scale": "logit_scale", "qkv_bias": "qkv.bias"},
        constants={
            "relative_position_index": relative_index(8),
            "relative_coords_table": _coordinates(8),
        },
    ),
    *_CONTINUOUS_BIAS,
)

_BLOCK = "layers.{s0}.blocks.{b0}"


def _timm(attention: TensorSpec, *more: Rule, authors: bool = False) -> KeyMap:
    """Key map of timm, or of the authors' files: there a stage ends with the merging."""
    ours = "backbone/stage{s}_block{b}"
    return by_rules(
        ("backbone/patches", "patch_embed.proj"),
        ("backbone/patches_norm", "patch_embed.norm"),
        *(
            (f"backbone/merge{stage}/{layer}", f"layers.{stage - 1 - authors}.downsample.{name}")
            for stage in (2, 3, 4)
            for layer, name in (("reduce", "reduction"), ("norm", "norm"))
        ),
        (f"{ours}/attention_norm", f"{_BLOCK}.norm1"),
        (f"{ours}/attention", attention),
        (f"{ours}/attention/qkv", f"{_BLOCK}.attn.qkv"),
        (f"{ours}/attention/out", f"{_BLOCK}.attn.proj"),
        *((f"{ours}/{name}", f"{_BLOCK}.{place}") for name, place in more),
        (f"{ours}/mlp_norm", f"{_BLOCK}.norm2"),
        (f"{ours}/mlp/expand", f"{_BLOCK}.mlp.fc1"),
        (f"{ours}/mlp/project", f"{_BLOCK}.mlp.fc2"),
        ("backbone/norm", "norm"),
        ("head/logits", "head" if authors else "head.fc"),
    )


_attention = TensorSpec(f"{_BLOCK}.attn", leaves=_POSITION)
_cosine_attention = TensorSpec(
    f"{_BLOCK}.attn",
    leaves={"logit_scale": "logit_scale"},
    parts={"qkv_bias": ("q_bias", None, "v_bias")},
)
timm = (_timm(_attention), _timm(_attention, authors=True))
timm_v2 = tuple(
    _timm(_cosine_attention, *_CONTINUOUS_BIAS, authors=authors) for authors in (False, True)
)
# Constants that the authors' files hold, and those of timm's earlier versions.
OPTIONAL = r".*\.(relative_position_index|relative_coords_table|attn_mask|k_bias)"
