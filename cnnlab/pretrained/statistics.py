"""Mean and standard deviation, per channel of pixels in [0, 1], that pretrained weights expect."""

import re

Statistics = tuple[tuple[float, float, float], tuple[float, float, float]]

IMAGENET: Statistics = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_HALF: Statistics = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)

# Patterns of sources whose weights expect others, as timm's `pretrained_cfg` has them.
# torchvision's GoogLeNet turns images normalised as ImageNet's into those by itself.
_OTHERS: dict[str, Statistics] = {
    r"torchvision/googlenet(\..*)?": _HALF,
    r"timm/resnetv2_.*": _HALF,
    r"timm/tf_efficientnet_lite0(\..*)?": _HALF,
    r"timm/.*\.ra4_e3600_.*": _HALF,
    r"timm/efficientnet_b1": _HALF,  # its default tag is one of ra4_e3600
    r"timm/tf_efficientnet_.*\.ap_in1k": _HALF,
    r"timm/convnext_base\.clip_.*": (
        (0.48145466, 0.4578275, 0.40821073),
        (0.26862954, 0.26130258, 0.27577711),
    ),
    r"timm/mobilenetv3_large_100\.miil_.*": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}


def image_statistics(source: str) -> Statistics | None:
    """Those of `timm/...`, `torchvision/...` and `smp/...`; None for files, folders and runs.

    What networks of segmentation_models_pytorch were trained with is not recorded; that library's
    own preprocessing for their encoders is ImageNet's.
    """
    if not source.startswith(("timm/", "torchvision/", "smp/")):
        return None
    others = (value for pattern, value in _OTHERS.items() if re.fullmatch(pattern, source))
    return next(others, IMAGENET)
