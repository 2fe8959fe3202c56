"""Exact parameter counts of every segmentation network, with where each number comes from.

A count of a repository is that of its network with random weights; one of a paper is counted from
its figure by a definition of its own in PyTorch.
"""

from typing import NamedTuple


class Count(NamedTuple):
    """One form of an architecture and its size."""

    image_shape: tuple[int, ...]
    num_classes: int
    params: int
    source: str
    options: dict = {}  # noqa: RUF012


COUNTS = {
    "unet": Count((64, 64, 1), 2, 31_030_658, "Ronneberger et al. 2015, fig. 1"),
    "unet_valid": Count((572, 572, 1), 2, 31_030_658, "Ronneberger et al. 2015, fig. 1"),
    "unet_bn": Count((64, 64, 3), 2, 31_037_698, "milesial/Pytorch-UNet, bilinear=False"),
    "unet_bilinear": Count((64, 64, 3), 2, 17_263_042, "milesial/Pytorch-UNet, bilinear=True"),
    "encoder_unet": Count((64, 64, 3), 1, 24_436_369, "segmentation_models_pytorch 0.6.0, Unet"),
    "fcn32s": Count(
        (64, 64, 3), 21, 134_346_581, "VGG-16's 14,714,688, fc6 102,764,544, fc7 16,781,312, score"
    ),
    "fcn16s": Count((64, 64, 3), 21, 134_364_410, "fcn32s, a 512-channel score, 4x4x21x21"),
    "fcn8s": Count((64, 64, 3), 21, 134_382_239, "fcn16s, a 512-channel score, 4x4x21x21"),
}

_SMP = "segmentation_models_pytorch 0.6.0, Unet"
OTHER_COUNTS = [
    ("encoder_unet", Count((64, 64, 3), 1, 32_521_105, _SMP, {"encoder": "resnet50"})),
    ("encoder_unet", Count((64, 64, 3), 1, 23_756_689, _SMP, {"encoder": "vgg16_bn"})),
    ("encoder_unet", Count((64, 64, 3), 1, 6_628_945, _SMP, {"encoder": "mobilenet_v2"})),
    ("unet", Count((64, 64, 1), 2, 7_759_554, "fig. 1 at half the width", {"width": 32})),
    ("unet", Count((64, 64, 1), 2, 1_940_834, "fig. 1 at a quarter", {"width": 16})),
    ("unet", Count((64, 64, 3), 2, 31_031_810, "fig. 1, three channels")),
]

# The smallest form of each family that still has all of its parts, for tests that compute.
SMALL = {
    "unet": {"width": 4, "levels": 3},
    "unet_valid": {"width": 4, "levels": 2},
    "unet_bn": {"width": 4, "levels": 3},
    "unet_bilinear": {"width": 4, "levels": 3},
    "encoder_unet": {
        "encoder": "resnet18",
        "encoder_options": {"width": 4, "stem": "cifar"},
        "widths": (8, 4, 4),
    },
    **{
        name: {
            "encoder": "resnet18",
            "encoder_options": {"width": 4, "stem": "cifar"},
            "hidden": (),
        }
        for name in ("fcn32s", "fcn16s", "fcn8s")
    },
}
