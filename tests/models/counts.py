"""Exact parameter counts of every registered architecture, with where each number comes from.

A count of a library is that of its network with random weights, counted with the version named; one
of a paper or a book is counted from its table, by hand or by a definition of its own in PyTorch.
"""

from typing import NamedTuple


class Count(NamedTuple):
    """One form of an architecture and its size."""

    image_shape: tuple[int, int, int]
    num_classes: int
    params: int
    batch_stats: int
    source: str


_IMAGENET = ((224, 224, 3), 1000)
_CIFAR = ((32, 32, 3), 10)
_GRAY = ((224, 224, 1), 10)


def _table(form, source, rows):
    return {name: Count(*form, params, stats, source) for name, (params, stats) in rows.items()}


COUNTS = {
    "mlp": Count((28, 28, 1), 10, 203_530, 0, "784*256 + 256 + 256*10 + 10, d2l.ai sec. 5.2"),
    "lenet5": Count((32, 32, 1), 10, 60_000, 0, "LeCun et al. 1998, sec. II-B"),
    "lenet": Count((28, 28, 1), 10, 61_706, 0, "d2l.ai sec. 7.6"),
    "lenet_relu": Count((28, 28, 1), 10, 61_706, 0, "as lenet"),
    "alexnet_2012": Count(
        (227, 227, 3), 1000, 60_965_224, 0, "Krizhevsky et al. 2012, fig. 2, two towers as groups"
    ),
    "nin_cifar": Count(*_CIFAR, 966_986, 0, "Lin et al. 2013, the authors' CIFAR-10 definition"),
    "resnet9": Count(
        *_CIFAR,
        6_573_130,
        4_480,
        "Page 2018: 3x3 of 3-64, 64-128, 2 of 128, 128-256, 256-512, 2 of 512, norms, 512*10 + 10",
    ),
    "googlenet_v1": Count(
        *_IMAGENET, 6_998_552, 0, "Szegedy et al. 2014, table 1, without auxiliary classifiers"
    ),
    **_table(
        _IMAGENET,
        "segmentation_models_pytorch 0.6.0, the encoder, and a dense layer on 256 or 512 channels",
        {
            "mit_b0": (3_576_392, 0),
            "mit_b1": (13_664_424, 0),
            "mit_b2": (24_709_288, 0),
            "mit_b3": (44_585_128, 0),
            "mit_b4": (61_355_688, 0),
            "mit_b5": (81_956_008, 0),
        },
    ),
    **_table(
        _GRAY,
        "d2l.ai ch. 8, PyTorch tab",
        {
            "alexnet_d2l": (46_764_746, 0),
            "nin": (1_992_166, 0),
            "resnet18_d2l": (11_178_378, 7_808),
            "densenet_d2l": (758_226, 6_608),
        },
    ),
    **_table(
        _IMAGENET,
        "torchvision 0.28.0",
        {
            "alexnet": (61_100_840, 0),
            "vgg11": (132_863_336, 0),
            "vgg13": (133_047_848, 0),
            "vgg16": (138_357_544, 0),
            "vgg19": (143_667_240, 0),
            "vgg11_bn": (132_868_840, 5_504),
            "vgg13_bn": (133_053_736, 5_888),
            "vgg16_bn": (138_365_992, 8_448),
            "vgg19_bn": (143_678_248, 11_008),
            "googlenet": (13_004_888, 15_072),
            "maxvit_t": (30_919_624, 47_616),
            "inception_v3": (27_161_264, 36_224),
            "resnet18": (11_689_512, 9_600),
            "resnet34": (21_797_672, 17_024),
            "resnet50": (25_557_032, 53_120),
            "resnet101": (44_549_160, 105_344),
            "resnet152": (60_192_808, 151_424),
            "resnext50_32x4d": (25_028_904, 68_224),
            "resnext101_32x8d": (88_791_336, 202_880),
            "resnext101_64x4d": (83_455_272, 202_880),
            "wide_resnet50_2": (68_883_240, 68_224),
            "wide_resnet101_2": (126_886_696, 137_856),
            "densenet121": (7_978_856, 83_648),
            "densenet161": (28_681_000, 219_936),
            "densenet169": (14_149_480, 158_400),
            "densenet201": (20_013_928, 229_056),
            "regnet_x_400mf": (5_495_976, 37_856),
            "regnet_x_800mf": (7_259_656, 37_312),
            "regnet_x_1_6gf": (9_190_136, 43_504),
            "regnet_x_3_2gf": (15_296_552, 62_560),
            "regnet_x_8gf": (39_572_648, 90_464),
            "regnet_x_16gf": (54_278_536, 111_168),
            "regnet_x_32gf": (107_811_560, 162_016),
            "regnet_y_400mf": (4_344_144, 27_152),
            "regnet_y_800mf": (6_432_512, 30_432),
            "regnet_y_1_6gf": (11_202_430, 52_672),
            "regnet_y_3_2gf": (19_436_338, 66_160),
            "regnet_y_8gf": (39_381_472, 86_528),
            "regnet_y_16gf": (83_590_140, 122_816),
            "regnet_y_32gf": (145_046_770, 158_288),
            "regnet_y_128gf": (644_812_894, 415_072),
            "convnext_tiny": (28_589_128, 0),
            "convnext_small": (50_223_688, 0),
            "convnext_base": (88_591_464, 0),
            "convnext_large": (197_767_336, 0),
            "squeezenet1_0": (1_248_424, 0),
            "squeezenet1_1": (1_235_496, 0),
            "shufflenet_v2_x0_5": (1_366_792, 7_952),
            "shufflenet_v2_x1_0": (2_278_604, 16_180),
            "shufflenet_v2_x1_5": (3_503_624, 23_440),
            "shufflenet_v2_x2_0": (7_393_996, 33_716),
            "vit_b_16": (86_567_656, 0),
            "vit_b_32": (88_224_232, 0),
            "vit_l_16": (304_326_632, 0),
            "vit_l_32": (306_535_400, 0),
            "vit_h_14": (632_045_800, 0),
            "swin_t": (28_288_354, 0),
            "swin_s": (49_606_258, 0),
            "swin_b": (87_768_224, 0),
            "swin_v2_t": (28_351_570, 0),
            "swin_v2_s": (49_737_442, 0),
            "swin_v2_b": (87_930_848, 0),
            "mobilenet_v2": (3_504_872, 34_112),
            "mobilenet_v3_small": (2_542_856, 12_112),
            "mobilenet_v3_large": (5_483_032, 24_400),
            "efficientnet_b0": (5_288_548, 42_016),
            "efficientnet_b1": (7_794_184, 62_048),
            "efficientnet_b2": (9_109_994, 67_568),
            "efficientnet_b3": (12_233_232, 87_296),
            "efficientnet_b4": (19_341_616, 125_200),
            "efficientnet_b5": (30_389_784, 172_736),
            "efficientnet_b6": (43_040_704, 224_432),
            "efficientnet_b7": (66_347_960, 310_720),
            "mnasnet0_5": (2_218_512, 20_624),
            "mnasnet0_75": (3_170_208, 29_808),
            "mnasnet1_0": (4_383_312, 37_920),
            "mnasnet1_3": (6_282_256, 48_816),
            "efficientnet_v2_s": (21_458_488, 153_872),
            "efficientnet_v2_m": (54_139_356, 292_032),
            "efficientnet_v2_l": (118_515_272, 512_576),
        },
    ),
    **_table(
        _IMAGENET,
        "timm 1.0.31",
        {
            "seresnet18": (11_779_624, 9_600),
            "seresnet34": (21_960_416, 17_024),
            "seresnet50": (28_088_024, 53_120),
            "seresnet101": (49_326_872, 105_344),
            "seresnet152": (66_821_848, 151_424),
            "seresnext50_32x4d": (27_559_896, 68_224),
            "resnetv2_18": (11_687_720, 7_808),
            "resnetv2_34": (21_795_880, 15_232),
            "resnetv2_50": (25_549_352, 45_440),
            "resnetv2_101": (44_541_480, 97_664),
            "resnetv2_152": (60_185_128, 143_744),
            "resnet26": (15_995_176, 30_848),
            "resnet18d": (11_708_744, 9_728),
            "resnet26d": (16_014_408, 30_976),
            "resnet34d": (21_816_904, 17_152),
            "resnet50d": (25_576_264, 53_248),
            "resnet101d": (44_568_392, 105_472),
            "resnet152d": (60_212_040, 151_552),
            "resnet200d": (64_693_064, 176_128),
            "resnet10t": (5_435_488, 5_872),
            "resnet14t": (10_081_632, 19_440),
            "resnet26t": (16_011_872, 30_960),
            "resnet50t": (25_573_728, 53_232),
            "resnext50d_32x4d": (25_048_136, 68_352),
            "resnext101_32x4d": (44_177_704, 137_856),
            "seresnet152d": (66_841_080, 151_552),
            "seresnext26d_32x4d": (16_809_512, 38_656),
            "seresnext26t_32x4d": (16_806_976, 38_640),
            "seresnext101_32x4d": (48_955_416, 137_856),
            "seresnext101_32x8d": (93_569_048, 202_880),
            "seresnext101_64x4d": (88_232_984, 202_880),
            "seresnext101d_32x8d": (93_588_280, 203_008),
            "ecaresnet26t": (16_011_916, 30_960),
            "ecaresnet50t": (25_573_814, 53_232),
            "ecaresnet50d": (25_576_350, 53_248),
            "ecaresnet101d": (44_568_563, 105_472),
            "ecaresnet200d": (64_693_400, 176_128),
            "ecaresnet269d": (102_093_077, 252_928),
            "ecaresnetlight": (30_162_046, 62_336),
            "tf_efficientnet_lite0": (4_652_008, 42_016),
            "vit_ti_16": (5_717_416, 0),
            "vit_s_16": (22_050_664, 0),
            "vit_s_14_dinov2": (22_441_192, 0),
            "vit_b_14_dinov2": (87_348_712, 0),
            "vit_l_14_dinov2": (305_392_616, 0),
            "vit_small_patch14_reg4_dinov2": (22_442_344, 0),
            "vit_base_patch14_reg4_dinov2": (87_351_016, 0),
            "vit_large_patch14_reg4_dinov2": (305_395_688, 0),
            "vit_small_patch32_224": (22_878_952, 0),
            "vit_small_patch8_224": (22_055_272, 0),
            "vit_base_patch8_224": (86_576_872, 0),
            "deit_tiny_distilled_patch16_224": (5_910_800, 0),
            "deit_small_distilled_patch16_224": (22_436_432, 0),
            "deit_base_distilled_patch16_224": (87_338_192, 0),
            "deit3_small_patch16_224": (22_059_496, 0),
            "deit3_medium_patch16_224": (38_849_512, 0),
            "deit3_base_patch16_224": (86_585_320, 0),
            "deit3_large_patch16_224": (304_374_760, 0),
            "deit3_huge_patch14_224": (632_126_440, 0),
        },
    ),
    **_table(
        _CIFAR,
        "He et al. 2015, sec. 4.2 (table 6 gives 0.27, 0.46, 0.66, 0.85 and 1.7 million)",
        {
            "resnet20": (269_722, 1_376),
            "resnet32": (464_154, 2_272),
            "resnet44": (658_586, 3_168),
            "resnet56": (853_018, 4_064),
            "resnet110": (1_727_962, 8_096),
        },
    ),
    **_table(
        _CIFAR,
        "Zagoruyko & Komodakis 2016, table 4 (2.7, 11.0, 36.5, 2.2 and 8.9 million)",
        {
            "wrn_16_4": (2_748_890, 3_616),
            "wrn_16_8": (10_961_370, 7_200),
            "wrn_28_10": (36_479_194, 17_952),
            "wrn_40_2": (2_243_546, 5_408),
            "wrn_40_4": (8_949_210, 10_784),
        },
    ),
    **_table(
        _CIFAR,
        "Huang et al. 2017, table 2 (0.8, 25.6 and 15.3 million)",
        {
            "densenet_bc_100_12": (769_162, 23_988),
            "densenet_bc_190_40": (25_624_430, 256_960),
            "densenet_bc_250_24": (15_324_406, 257_976),
        },
    ),
}

# Other forms of the same networks: name, image shape, classes, options, parameters, source.
OTHER_COUNTS = [
    ("lenet", (32, 32, 3), 10, {}, 83_126, "d2l.ai's LeNet at CIFAR's shape"),
    ("resnet18", (32, 32, 3), 10, {"stem": "cifar"}, 11_173_962, "kuangliu/pytorch-cifar"),
    ("resnet20", (32, 32, 3), 10, {"shortcut": "projection"}, 272_474, "option B"),
    ("resnet110", (32, 32, 3), 10, {"shortcut": "projection"}, 1_730_714, "option B"),
    ("alexnet_d2l", *_IMAGENET, {}, 50_844_008, "d2l.ai sec. 8.1"),
    ("alexnet_2012", (227, 227, 3), 1000, {"towers": 1}, 62_378_344, "without towers"),
    ("vgg11", *_GRAY, {}, 128_806_154, "d2l.ai sec. 8.2"),
    ("vgg11", *_GRAY, {"width": 16}, 43_093_322, "d2l.ai sec. 8.2, the network it trains"),
    ("nin", *_IMAGENET, {}, 7_439_608, "d2l.ai sec. 8.3"),
    ("googlenet_v1", (96, 96, 1), 10, {}, 5_977_530, "d2l.ai sec. 8.4"),
    ("googlenet", *_IMAGENET, {"aux": False}, 6_624_904, "torchvision 0.28.0"),
    ("inception_v3", (299, 299, 3), 1000, {"aux": False}, 23_834_568, "torchvision 0.28.0"),
    ("resnet18_d2l", *_IMAGENET, {}, 11_692_520, "d2l.ai sec. 8.6"),
    ("densenet_d2l", *_IMAGENET, {}, 1_011_008, "d2l.ai sec. 8.7"),
]
