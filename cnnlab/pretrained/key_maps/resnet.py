"""ResNet, its kin of SE, ECA, D, Res2Net and ResNeSt, in torchvision and timm; v2 in timm."""

from cnnlab.pretrained.key_maps.rules import TensorSpec, by_rules

_BLOCK, _LAYER = "backbone/stage{s}_block{b}", "layer{s}.{b0}"

_STEM = (
    ("backbone/stem_conv", "conv1"),
    ("backbone/stem_norm", "bn1"),
    ("backbone/stem_conv1", "conv1.0"),
    ("backbone/stem_norm1", "conv1.1"),
    ("backbone/stem_conv2", "conv1.3"),
    ("backbone/stem_norm2", "conv1.4"),
    ("backbone/stem_conv3", "conv1.6"),
    ("backbone/stem_norm3", "bn1"),
)
_BLOCKS = (
    (f"{_BLOCK}/conv{{n}}", f"{_LAYER}.conv{{n}}"),
    (f"{_BLOCK}/norm{{n}}", f"{_LAYER}.bn{{n}}"),
    (f"{_BLOCK}/conv2_{{part}}", f"{_LAYER}.convs.{{part0}}"),
    (f"{_BLOCK}/norm2_{{part}}", f"{_LAYER}.bns.{{part0}}"),
    (f"{_BLOCK}/split_attention/conv", f"{_LAYER}.conv2.conv"),
    (f"{_BLOCK}/split_attention/norm", f"{_LAYER}.conv2.bn0"),
    (f"{_BLOCK}/split_attention/reduce", f"{_LAYER}.conv2.fc1"),
    (f"{_BLOCK}/split_attention/reduce_norm", f"{_LAYER}.conv2.bn1"),
    (f"{_BLOCK}/split_attention/expand", f"{_LAYER}.conv2.fc2"),
    (f"{_BLOCK}/squeeze_excite/reduce", f"{_LAYER}.se.fc1"),
    (f"{_BLOCK}/squeeze_excite/expand", f"{_LAYER}.se.fc2"),
    (f"{_BLOCK}/channel_attention/conv", f"{_LAYER}.se.conv"),
    ("head/logits", "fc"),
)

v1 = by_rules(
    *_STEM,
    *_BLOCKS,
    (f"{_BLOCK}/shortcut_conv", f"{_LAYER}.downsample.0"),
    (f"{_BLOCK}/shortcut_norm", f"{_LAYER}.downsample.1"),
)

# Where a shortcut averages: the pooling, which has no tensors, counts as a layer there.
v1_pooled = by_rules(
    *_STEM,
    *_BLOCKS,
    (f"{_BLOCK}/shortcut_conv", f"{_LAYER}.downsample.1"),
    (f"{_BLOCK}/shortcut_norm", f"{_LAYER}.downsample.2"),
)

# Of the Caffe networks of squeeze-and-excitation, in segmentation_models_pytorch.
senet = by_rules(
    ("backbone/stem_conv", "layer0.conv1"),
    ("backbone/stem_norm", "layer0.bn1"),
    (f"{_BLOCK}/conv{{n}}", f"{_LAYER}.conv{{n}}"),
    (f"{_BLOCK}/norm{{n}}", f"{_LAYER}.bn{{n}}"),
    (f"{_BLOCK}/shortcut_conv", f"{_LAYER}.downsample.0"),
    (f"{_BLOCK}/shortcut_norm", f"{_LAYER}.downsample.1"),
    (f"{_BLOCK}/squeeze_excite/reduce", f"{_LAYER}.se_module.fc1"),
    (f"{_BLOCK}/squeeze_excite/expand", f"{_LAYER}.se_module.fc2"),
)

v2_timm = by_rules(
    ("backbone/stem_conv", "stem.conv"),
    (f"{_BLOCK}/shortcut_conv", "stages.{s0}.blocks.{b0}.downsample.conv"),
    (f"{_BLOCK}/{{layer}}", "stages.{s0}.blocks.{b0}.{layer}"),
    ("backbone/final_norm", "norm"),
    ("head/logits", TensorSpec("head.fc", conv=True)),
)
