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


_SMP = "segmentation_models_pytorch 0.6.0"

COUNTS = {
    "unet": Count((64, 64, 1), 2, 31_030_658, "Ronneberger et al. 2015, fig. 1"),
    "unet_valid": Count((572, 572, 1), 2, 31_030_658, "Ronneberger et al. 2015, fig. 1"),
    "unet_bn": Count((64, 64, 3), 2, 31_037_698, "milesial/Pytorch-UNet, bilinear=False"),
    "unet_bilinear": Count((64, 64, 3), 2, 17_263_042, "milesial/Pytorch-UNet, bilinear=True"),
    "encoder_unet": Count((64, 64, 3), 1, 24_436_369, f"{_SMP}, Unet"),
    "fcn32s": Count(
        (64, 64, 3), 21, 134_346_581, "VGG-16's 14,714,688, fc6 102,764,544, fc7 16,781,312, score"
    ),
    "fcn16s": Count((64, 64, 3), 21, 134_364_410, "fcn32s, a 512-channel score, 4x4x21x21"),
    "fcn8s": Count((64, 64, 3), 21, 134_382_239, "fcn16s, a 512-channel score, 4x4x21x21"),
    "encoder_unetplusplus": Count((64, 64, 3), 1, 26_078_609, f"{_SMP}, UnetPlusPlus"),
    "linknet": Count((64, 64, 3), 1, 21_771_937, f"{_SMP}, Linknet"),
    "manet": Count((64, 64, 3), 1, 31_783_633, f"{_SMP}, MAnet"),
    "fpn": Count((64, 64, 3), 1, 23_155_393, f"{_SMP}, FPN"),
    "pspnet": Count((64, 64, 3), 21, 29_900_885, f"{_SMP}, PSPNet, resnet50, encoder_depth=5"),
    "fcn": Count((64, 64, 3), 21, 32_957_013, "torchvision 0.28.0, fcn_resnet50"),
    "deeplabv3": Count((64, 64, 3), 21, 39_638_869, "torchvision 0.28.0, deeplabv3_resnet50"),
    "deeplabv3plus": Count((64, 64, 3), 1, 22_437_457, f"{_SMP}, DeepLabV3Plus"),
    "lraspp": Count((64, 64, 3), 21, 3_221_538, "torchvision 0.28.0, lraspp_mobilenet_v3_large"),
    "pan": Count((64, 64, 3), 1, 21_475_816, f"{_SMP}, PAN"),
    "upernet": Count((64, 64, 3), 1, 29_599_681, f"{_SMP}, UPerNet"),
    "segformer": Count(
        (64, 64, 3), 1, 21_876_545, f"{_SMP}, Segformer, resnet34", {"encoder": "resnet34"}
    ),
    "dpt": Count(
        (224, 224, 3),
        1,
        121_009_153,
        f"{_SMP}, DPT, vit_base_patch16_224 without its classifier",
    ),
    "unetplusplus": Count((64, 64, 3), 2, 9_163_362, "NITR098/Awesome-U-Net, NestedUNet"),
    "attention_unet": Count((64, 64, 3), 2, 34_878_638, "NITR098/Awesome-U-Net, AttU_Net"),
    "r2_unet": Count((64, 64, 3), 2, 39_091_458, "NITR098/Awesome-U-Net, R2U_Net, t=2"),
    "r2_attention_unet": Count(
        (64, 64, 3), 2, 39_442_990, "NITR098/Awesome-U-Net, R2AttU_Net, t=2"
    ),
    "u2net": Count((64, 64, 3), 1, 44_009_869, "xuebinqin/U-2-Net, U2NET(3, 1)"),
    "u2net_lite": Count((64, 64, 3), 1, 1_131_181, "xuebinqin/U-2-Net, U2NETP(3, 1)"),
    "resunet": Count((64, 64, 3), 2, 13_043_074, "NITR098/Awesome-U-Net, ResUnet"),
    "resunetplusplus": Count((64, 64, 3), 1, 4_062_993, "DebeshJha/ResUNetPlusPlus"),
    "unext": Count((64, 64, 3), 1, 1_471_921, "jeya-maria-jose/UNeXt-pytorch, UNext(1)"),
    "unext_s": Count((64, 64, 3), 1, 253_561, "jeya-maria-jose/UNeXt-pytorch, UNext_S(1)"),
    "unet3plus": Count((64, 64, 3), 1, 26_971_777, "ZJUGiveLab/UNet-Version, UNet_3Plus"),
    "multiresunet": Count((64, 64, 3), 1, 7_238_228, "nibtehaz/MultiResUNet, Keras, trainable"),
    "double_unet": Count((64, 64, 3), 1, 29_288_886, "DebeshJha/2020-CBMS-DoubleU-Net, PyTorch"),
    "sa_unet": Count((64, 64, 3), 1, 537_299, "clguo/SA-UNet, trainable"),
    "unet3d": Count((16, 16, 16, 3), 3, 19_072_291, "Cicek et al. 2016, fig. 2, with batch norms"),
    "vnet": Count((16, 16, 16, 1), 2, 45_597_898, "MONAI, VNet"),
    "vnet_2d": Count((64, 64, 1), 2, 9_358_730, "MONAI, VNet"),
    "transunet": Count((224, 224, 3), 9, 105_277_081, "NITR098/Awesome-U-Net, R50-ViT-B_16 at 224"),
    "swin_unet": Count(
        (224, 224, 3), 9, 27_168_900, "HuCaoFighting/Swin-Unet, SwinTransformerSys, tiny"
    ),
    "uctransnet": Count((224, 224, 3), 2, 66_430_722, "NITR098/Awesome-U-Net, UCTransNet at 224"),
    "missformer": Count(
        (224, 224, 3),
        9,
        42_462_537 - 7_009_792,
        "NITR098/Awesome-U-Net, MISSFormer(9), less what takes part in no computation",
    ),
}

_NESTED = "NITR098/Awesome-U-Net, NestedUNet, deep supervision"
_ZHANG = {"shortcut_kernel": 1, "upsample": "nearest"}
_DEEP = {"deep_supervision": True}
_GUIDED = {"deep_supervision": True, "classification_guided": True}
OTHER_COUNTS = [
    *(
        (name, Count((64, 64, 3), 1, params, f"{_SMP}, {source}", options))
        for name, params, source, options in (
            ("encoder_unet", 32_521_105, "Unet", {"encoder": "resnet50"}),
            ("encoder_unet", 23_756_689, "Unet", {"encoder": "vgg16_bn"}),
            ("encoder_unet", 6_628_945, "Unet", {"encoder": "mobilenet_v2"}),
            ("encoder_unet", 24_550_360, "Unet, scse", {"attention": "scse"}),
            ("pspnet", 21_437_985, "PSPNet", {"encoder": "resnet34", "dilate": False}),
            ("deeplabv3", 26_007_105, "DeepLabV3", {"encoder": "resnet34"}),
        )
    ),
    *(
        (name, Count((64, 64, 3), 21, params, f"torchvision 0.28.0, {name}_{encoder}", options))
        for name, encoder, params, options in (
            ("fcn", "resnet50", 35_322_218, {"aux": True}),
            ("fcn", "resnet101", 51_949_141, {"encoder": "resnet101"}),
            ("fcn", "resnet101", 54_314_346, {"encoder": "resnet101", "aux": True}),
            ("deeplabv3", "resnet50", 42_004_074, {"aux": True}),
            ("deeplabv3", "resnet101", 58_630_997, {"encoder": "resnet101"}),
            ("deeplabv3", "resnet101", 60_996_202, {"encoder": "resnet101", "aux": True}),
            (
                "deeplabv3",
                "mobilenet_v3_large",
                11_025_477,
                {"encoder": "mobilenet_v3_large", "output_stride": 16},
            ),
        )
    ),
    ("unet", Count((64, 64, 1), 2, 7_759_554, "fig. 1 at half the width", {"width": 32})),
    ("unet", Count((64, 64, 1), 2, 1_940_834, "fig. 1 at a quarter", {"width": 16})),
    ("unet", Count((64, 64, 3), 2, 31_031_810, "fig. 1, three channels")),
    ("unet_bn", Count((64, 64, 3), 1, 7_763_041, "mateuszbuda, UNet(3, 1)", {"width": 32})),
    ("unetplusplus", Count((64, 64, 3), 2, 9_163_560, _NESTED, _DEEP)),
    ("unetplusplus", Count((64, 64, 3), 1, 36_629_633, "bigmb, NestedUNet", {"width": 64})),
    ("attention_unet", Count((64, 64, 3), 1, 34_878_573, "bigmb, AttU_Net")),
    ("attention_unet", Count((64, 64, 1), 2, 34_877_486, "NITR098/Awesome-U-Net, AttU_Net")),
    ("r2_unet", Count((64, 64, 3), 1, 39_091_393, "bigmb, R2U_Net")),
    ("r2_attention_unet", Count((64, 64, 3), 1, 39_442_925, "bigmb, R2AttU_Net")),
    ("resunet", Count((64, 64, 3), 1, 13_043_009, "rishikksh20/ResUnet, ResUnet(3)")),
    ("resunet", Count((64, 64, 3), 1, 8_223_681, "Zhang et al. 2018, fig. 1 and table I", _ZHANG)),
    ("unet3plus", Count((64, 64, 3), 1, 26_989_637, "ZJUGiveLab, UNet_3Plus_DeepSup", _DEEP)),
    ("unet3plus", Count((64, 64, 3), 1, 26_991_687, "ZJUGiveLab, UNet_3Plus_DeepSup_CGM", _GUIDED)),
    ("multiresunet", Count((64, 64, 1), 1, 7_237_982, "nibtehaz/MultiResUNet, Keras, trainable")),
    (
        "unet3d",
        Count((16, 16, 16, 3), 3, 19_069_955, "Cicek et al. 2016, stated", {"norm": "none"}),
    ),
    ("transunet", Count((224, 224, 3), 2, 105_276_066, "NITR098/Awesome-U-Net, R50-ViT-B_16")),
    ("transunet", Count((96, 64, 3), 2, 105_276_066, "the same grid, interpolated")),
    ("swin_unet", Count((100, 60, 3), 9, 27_168_900, "the same at another size, padded")),
    ("uctransnet", Count((100, 60, 3), 2, 66_430_722, "the same grid, interpolated")),
    ("missformer", Count((224, 224, 3), 2, 42_462_082 - 7_009_792, "likewise, MISSFormer(2)")),
    ("missformer", Count((100, 60, 3), 2, 42_462_082 - 7_009_792, "the same at another size")),
]

_TINY_RESNET = {"width": 4, "stem": "cifar", "stage_sizes": (1, 1, 1, 1)}

# The smallest form of each family that still has all of its parts, for tests that compute.
SMALL = {
    "unet": {"width": 4, "levels": 3},
    "unet_valid": {"width": 4, "levels": 2},
    "unet_bn": {"width": 4, "levels": 3},
    "unet_bilinear": {"width": 4, "levels": 3},
    **{
        name: {"encoder": "resnet18", "encoder_options": _TINY_RESNET, "widths": (8, 4, 4)}
        for name in ("encoder_unet", "encoder_unetplusplus", "manet")
    },
    **{
        name: {"encoder": "resnet18", "encoder_options": _TINY_RESNET, "hidden": ()}
        for name in ("fcn32s", "fcn16s", "fcn8s")
    },
    "linknet": {"encoder": "resnet18", "encoder_options": _TINY_RESNET, "width": 4},
    "fpn": {
        "encoder": "resnet18",
        "encoder_options": _TINY_RESNET,
        "pyramid_width": 8,
        "width": 8,
    },
    "fcn": {
        "encoder": "resnet18",
        "encoder_options": _TINY_RESNET,
        "output_stride": 4,
        "aux": True,
    },
    **{
        name: {
            "encoder": "resnet18",
            "encoder_options": _TINY_RESNET,
            "output_stride": 4,
            "width": 8,
            **options,
        }
        for name, options in {
            "pspnet": {"aux": True},
            "deeplabv3": {"aux": True},
            "deeplabv3plus": {"fine_width": 4},
        }.items()
    },
    "lraspp": {
        "encoder_options": {"blocks": [(3, 8, 8, True, "HS", 2)] * 4, "width": 0.5},
        "width": 8,
    },
    **{
        name: {"encoder": "resnet18", "encoder_options": _TINY_RESNET, "width": 8}
        for name in ("pan", "upernet", "segformer")
    },
    "dpt": {
        "encoder_options": {
            "width": 8,
            "depth": 4,
            "heads": 2,
            "patch_size": 8,
            "image_size": 32,
        },
        "widths": (4, 4, 8, 8),
        "width": 8,
    },
    "unetplusplus": {"width": 4, "levels": 3, "deep_supervision": True},
    "attention_unet": {"width": 4, "levels": 3, "deep_supervision": True},
    "r2_unet": {"width": 4, "levels": 2},
    "r2_attention_unet": {"width": 4, "levels": 2, "steps": 1},
    **{
        name: {
            "widths": (4, 6, 6),
            "mid_widths": (2, 3, 4),
            "decoder_mid_widths": (2, 4),
            "heights": (3,),
        }
        for name in ("u2net", "u2net_lite")
    },
    "resunet": {"width": 4, "levels": 3},
    "resunetplusplus": {"width": 4, "levels": 2},
    "unext": {"widths": (4, 4, 6, 7, 8)},
    "unext_s": {"widths": (4, 4, 6, 7, 8)},
    "unet3plus": {
        "width": 4,
        "levels": 3,
        "deep_supervision": True,
        "classification_guided": True,
    },
    "multiresunet": {"width": 4, "levels": 2},
    "double_unet": {
        "encoder_options": {"width": 4, "stage_sizes": (1, 1, 1)},
        "width": 4,
        "pyramid_width": 4,
    },
    "sa_unet": {"width": 4, "levels": 2, "block_size": 3},
    "unet3d": {"width": 2, "levels": 2},
    **{
        name: {"width": 4, "stage_sizes": (1, 1, 2), "up_sizes": (2, 1)}
        for name in ("vnet", "vnet_2d")
    },
    "transunet": {
        "image_size": 48,
        "stage_sizes": (1, 1, 1),
        "width": 4,
        "hidden_width": 8,
        "depth": 1,
        "heads": 2,
        "mlp_width": 16,
        "decoder_width": 8,
        "decoder_widths": (8, 4, 4, 4),
    },
    "swin_unet": {"width": 8, "depths": (2, 1), "heads": (1, 2), "patch_size": 2, "window": 3},
    "uctransnet": {"image_size": 48, "width": 4, "depth": 1, "heads": 2},
    "missformer": {"widths": (4, 8), "depths": (1, 1), "heads": (1, 2), "bridge_depth": 1},
}
