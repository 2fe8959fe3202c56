"""Per-channel mean and standard deviation of pixels in [0, 1] that pretrained weights expect."""

import re

Statistics = tuple[tuple[float, float, float], tuple[float, float, float]]

IMAGENET: Statistics = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_HALF: Statistics = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)

# Patterns of sources whose weights expect others, as timm's `pretrained_cfg` has them.
# torchvision's GoogLeNet and Inception v3 turn images normalised as ImageNet's into those by
# themselves.
_OTHERS: dict[str, Statistics] = {
    r"torchvision/(googlenet|inception_v3)(\..*)?": _HALF,
    r"timm/inception_v3(\.t\w+)?": _HALF,
    r"timm/(inception_(v4|resnet_v2)|(legacy_)?xception\d*p?)(\..*)?": _HALF,
    r"timm/resnetv2_.*": _HALF,
    r"timm/tf_efficientnet_lite\d(\..*)?": _HALF,
    r"timm/tf_efficientnetv2_([sml](\..*)?|b3(\.in21k\w*)?)": _HALF,
    r"timm/mobilenetv4_conv_(small\.e3600_\w+|small_050(\..*)?)": _HALF,
    r"timm/vit_(?!small_patch8)\w+_224(\.(augreg|orig|sam)\w*)?": _HALF,
    r"timm/.*\.ra4_e3600_.*": _HALF,
    r"timm/(efficientnet_b1|mobilenetv1_\w+)": _HALF,  # their default tags are of ra4_e3600
    r"timm/tf_efficientnet_.*\.ap_in1k": _HALF,
    r"timm/(convnext_base\.clip_.*|vit_base_patch16_224\.bamboo)": (
        (0.48145466, 0.4578275, 0.40821073),
        (0.26862954, 0.26130258, 0.27577711),
    ),
    r"timm/mobilenetv3_large_100\.miil_.*": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}


def image_statistics(source: str) -> Statistics | None:
    """Returns those of `timm/...`, `torchvision/...` and `smp/...`; None for files and runs.

    segmentation_models_pytorch does not record the statistics of a network; its preprocessing for
    these encoders uses ImageNet's.
    """
    if not source.startswith(("timm/", "torchvision/", "smp/")):
        return None
    others = (value for pattern, value in _OTHERS.items() if re.fullmatch(pattern, source))
    return next(others, IMAGENET)
