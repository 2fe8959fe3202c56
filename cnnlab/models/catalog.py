"""The architectures by name and the modules that define them; imports neither these nor jax.

To add an architecture, write one file with a table `VARIANTS` and a function `build`, and list it
here; a test compares this table with those of the files.
"""

import fnmatch
import functools
import importlib.util
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cnnlab.errors import UserError, did_you_mean
from cnnlab.models.timm_names import our_name
from cnnlab.registry import MODELS, Entry

# By task: modules of this package, and the names in their VARIANTS.
FAMILIES: dict[str, dict[str, tuple[str, ...]]] = {
    "classification": {
        "classification.mlp": ("mlp",),
        "classification.lenet": (
            "lenet5",
            "lenet",
            "lenet_relu",
        ),
        "classification.alexnet": (
            "alexnet",
            "alexnet_2012",
            "alexnet_d2l",
        ),
        "classification.vgg": (
            "vgg11",
            "vgg13",
            "vgg16",
            "vgg19",
            "vgg11_bn",
            "vgg13_bn",
            "vgg16_bn",
            "vgg19_bn",
        ),
        "classification.nin": (
            "nin",
            "nin_cifar",
        ),
        "classification.inception.googlenet": (
            "googlenet_v1",
            "googlenet",
        ),
        "classification.inception.inception_v3": ("inception_v3",),
        "classification.inception.inception_v4": ("inception_v4",),
        "classification.inception.inception_resnet_v2": ("inception_resnet_v2",),
        "classification.inception.xception": ("legacy_xception",),
        "classification.inception.xception_aligned": (
            "xception41",
            "xception65",
            "xception71",
            "xception41p",
            "xception65p",
        ),
        "classification.resnet": (
            "resnet18",
            "resnet34",
            "resnet50",
            "resnet101",
            "resnet152",
            "resnet18_d2l",
            "resnext50_32x4d",
            "resnext101_32x8d",
            "resnext101_64x4d",
            "wide_resnet50_2",
            "wide_resnet101_2",
            "seresnet18",
            "seresnet34",
            "seresnet50",
            "seresnet101",
            "seresnet152",
            "seresnext50_32x4d",
            "resnet26",
            "resnet18d",
            "resnet26d",
            "resnet34d",
            "resnet50d",
            "resnet101d",
            "resnet152d",
            "resnet200d",
            "resnet10t",
            "resnet14t",
            "resnet26t",
            "resnet50t",
            "resnext50d_32x4d",
            "resnext101_32x4d",
            "seresnet152d",
            "seresnext26d_32x4d",
            "seresnext26t_32x4d",
            "seresnext101_32x4d",
            "seresnext101_32x8d",
            "seresnext101_64x4d",
            "seresnext101d_32x8d",
            "ecaresnet26t",
            "ecaresnet50t",
            "ecaresnet50d",
            "ecaresnet101d",
            "ecaresnet200d",
            "ecaresnet269d",
            "ecaresnetlight",
        ),
        "classification.cifar_resnet": (
            "resnet20",
            "resnet32",
            "resnet44",
            "resnet56",
            "resnet110",
        ),
        "classification.resnet_v2": (
            "resnetv2_50",
            "resnetv2_101",
            "resnetv2_152",
            "resnetv2_18",
            "resnetv2_34",
            "wrn_16_4",
            "wrn_16_8",
            "wrn_28_10",
            "wrn_40_2",
            "wrn_40_4",
        ),
        "classification.resnet9": ("resnet9",),
        "classification.densenet": (
            "densenet121",
            "densenet161",
            "densenet169",
            "densenet201",
            "densenet_bc_100_12",
            "densenet_bc_190_40",
            "densenet_bc_250_24",
            "densenet_d2l",
        ),
        "classification.regnet": (
            "regnet_x_400mf",
            "regnet_x_800mf",
            "regnet_x_1_6gf",
            "regnet_x_3_2gf",
            "regnet_x_8gf",
            "regnet_x_16gf",
            "regnet_x_32gf",
            "regnet_y_400mf",
            "regnet_y_800mf",
            "regnet_y_1_6gf",
            "regnet_y_3_2gf",
            "regnet_y_8gf",
            "regnet_y_16gf",
            "regnet_y_32gf",
            "regnet_y_128gf",
        ),
        "classification.repvgg": (
            "repvgg_a0",
            "repvgg_a1",
            "repvgg_a2",
            "repvgg_b0",
            "repvgg_b1",
            "repvgg_b2",
            "repvgg_b3",
            "repvgg_b1g4",
            "repvgg_b2g4",
            "repvgg_b3g4",
        ),
        "classification.residual.res2net": (
            "res2net50_14w_8s",
            "res2net50_26w_4s",
            "res2net50_26w_6s",
            "res2net50_26w_8s",
            "res2net50_48w_2s",
            "res2net101_26w_4s",
            "res2next50",
            "res2net50d",
            "res2net101d",
        ),
        "classification.residual.resnest": (
            "resnest14d",
            "resnest26d",
            "resnest50d",
            "resnest101e",
            "resnest200e",
            "resnest269e",
            "resnest50d_1s4x24d",
            "resnest50d_4s2x40d",
        ),
        "classification.residual.dla": (
            "dla34",
            "dla46_c",
            "dla46x_c",
            "dla60x_c",
            "dla60",
            "dla60x",
            "dla102",
            "dla102x",
            "dla102x2",
            "dla169",
            "dla60_res2net",
            "dla60_res2next",
        ),
        "classification.residual.hrnet": (
            "hrnet_w18_small",
            "hrnet_w18_small_v2",
            "hrnet_w18",
            "hrnet_w30",
            "hrnet_w32",
            "hrnet_w40",
            "hrnet_w44",
            "hrnet_w48",
            "hrnet_w64",
            "hrnet_w18_ssld",
            "hrnet_w48_ssld",
        ),
        "classification.convnext": (
            "convnext_tiny",
            "convnext_small",
            "convnext_base",
            "convnext_large",
            "convnext_atto",
            "convnext_femto",
            "convnext_pico",
            "convnext_nano",
            "convnextv2_atto",
            "convnextv2_femto",
            "convnextv2_pico",
            "convnextv2_nano",
            "convnextv2_tiny",
            "convnextv2_small",
            "convnextv2_base",
            "convnextv2_large",
            "convnextv2_huge",
        ),
        "classification.mobile.squeezenet": (
            "squeezenet1_0",
            "squeezenet1_1",
        ),
        "classification.mobile.shufflenet_v2": (
            "shufflenet_v2_x0_5",
            "shufflenet_v2_x1_0",
            "shufflenet_v2_x1_5",
            "shufflenet_v2_x2_0",
        ),
        "classification.mobile.mobilenet_v1": (
            "mobilenetv1_100",
            "mobilenetv1_100h",
            "mobilenetv1_125",
        ),
        "classification.mobile.mobilenet_v2": (
            "mobilenet_v2",
            "mobilenetv2_035",
            "mobilenetv2_050",
            "mobilenetv2_075",
            "mobilenetv2_140",
            "mobilenetv2_110d",
            "mobilenetv2_120d",
        ),
        "classification.mobile.mobilenet_v3": (
            "mobilenet_v3_small",
            "mobilenet_v3_large",
            "mobilenetv3_small_050",
            "mobilenetv3_small_075",
            "mobilenetv3_large_075",
        ),
        "classification.mobile.mobilenet_v4": (
            "mobilenetv4_conv_small_035",
            "mobilenetv4_conv_small_050",
            "mobilenetv4_conv_small",
            "mobilenetv4_conv_medium",
            "mobilenetv4_conv_large",
            "mobilenetv4_conv_aa_medium",
            "mobilenetv4_conv_aa_large",
            "mobilenetv4_conv_blur_medium",
        ),
        "classification.mobile.ghostnet": (
            "ghostnet_050",
            "ghostnet_100",
            "ghostnet_130",
            "ghostnetv2_100",
            "ghostnetv2_130",
            "ghostnetv2_160",
        ),
        "classification.mobile.edgenext": (
            "edgenext_xx_small",
            "edgenext_x_small",
            "edgenext_small",
            "edgenext_base",
        ),
        "classification.efficientnet": (
            "efficientnet_b0",
            "efficientnet_b1",
            "efficientnet_b2",
            "efficientnet_b3",
            "efficientnet_b4",
            "efficientnet_b5",
            "efficientnet_b6",
            "efficientnet_b7",
            "tf_efficientnet_lite0",
            "tf_efficientnet_lite1",
            "tf_efficientnet_lite2",
            "tf_efficientnet_lite3",
            "tf_efficientnet_lite4",
        ),
        "classification.mobile.mnasnet": (
            "mnasnet0_5",
            "mnasnet0_75",
            "mnasnet1_0",
            "mnasnet1_3",
        ),
        "classification.efficientnet_v2": (
            "efficientnet_v2_s",
            "efficientnet_v2_m",
            "efficientnet_v2_l",
            "tf_efficientnetv2_b0",
            "tf_efficientnetv2_b1",
            "tf_efficientnetv2_b2",
            "tf_efficientnetv2_b3",
            "efficientnetv2_rw_t",
            "efficientnetv2_rw_s",
            "efficientnetv2_rw_m",
        ),
        "classification.transformer.vit": (
            "vit_ti_16",
            "vit_s_16",
            "vit_b_16",
            "vit_b_32",
            "vit_l_16",
            "vit_l_32",
            "vit_h_14",
            "vit_s_14_dinov2",
            "vit_b_14_dinov2",
            "vit_l_14_dinov2",
            "vit_small_patch14_reg4_dinov2",
            "vit_base_patch14_reg4_dinov2",
            "vit_large_patch14_reg4_dinov2",
            "vit_small_patch32_224",
            "vit_small_patch8_224",
            "vit_base_patch8_224",
            "deit_tiny_distilled_patch16_224",
            "deit_small_distilled_patch16_224",
            "deit_base_distilled_patch16_224",
            "deit3_small_patch16_224",
            "deit3_medium_patch16_224",
            "deit3_base_patch16_224",
            "deit3_large_patch16_224",
            "deit3_huge_patch14_224",
        ),
        "classification.transformer.swin": (
            "swin_t",
            "swin_s",
            "swin_b",
            "swin_v2_t",
            "swin_v2_s",
            "swin_v2_b",
            "swin_large_patch4_window7_224",
            "swin_base_patch4_window12_384",
            "swin_large_patch4_window12_384",
            "swinv2_tiny_window16_256",
            "swinv2_small_window16_256",
            "swinv2_base_window16_256",
            "swinv2_base_window12_192",
            "swinv2_base_window12to16_192to256",
            "swinv2_base_window12to24_192to384",
            "swinv2_large_window12_192",
            "swinv2_large_window12to16_192to256",
            "swinv2_large_window12to24_192to384",
        ),
        "classification.transformer.maxvit": ("maxvit_t",),
        "classification.transformer.mit": (
            "mit_b0",
            "mit_b1",
            "mit_b2",
            "mit_b3",
            "mit_b4",
            "mit_b5",
        ),
    },
    "segmentation": {
        "segmentation.unet_family.unet": (
            "unet",
            "unet_valid",
            "unet_bn",
            "unet_bilinear",
        ),
        "segmentation.encoder_decoder.encoder_unet": ("encoder_unet",),
        "segmentation.encoder_decoder.fcn": (
            "fcn32s",
            "fcn16s",
            "fcn8s",
        ),
        "segmentation.encoder_decoder.dilated_fcn": ("fcn",),
        "segmentation.encoder_decoder.deeplabv3": ("deeplabv3",),
        "segmentation.encoder_decoder.deeplabv3plus": ("deeplabv3plus",),
        "segmentation.encoder_decoder.encoder_unetplusplus": ("encoder_unetplusplus",),
        "segmentation.encoder_decoder.linknet": ("linknet",),
        "segmentation.encoder_decoder.manet": ("manet",),
        "segmentation.encoder_decoder.fpn": ("fpn",),
        "segmentation.encoder_decoder.pspnet": ("pspnet",),
        "segmentation.encoder_decoder.lraspp": ("lraspp",),
        "segmentation.encoder_decoder.pan": ("pan",),
        "segmentation.encoder_decoder.upernet": ("upernet",),
        "segmentation.encoder_decoder.segformer": ("segformer",),
        "segmentation.unet_family.unetplusplus": ("unetplusplus",),
        "segmentation.unet_family.attention_unet": ("attention_unet",),
        "segmentation.unet_family.r2_unet": (
            "r2_unet",
            "r2_attention_unet",
        ),
        "segmentation.unet_family.u2net": (
            "u2net",
            "u2net_lite",
        ),
        "segmentation.unet_family.resunet": ("resunet",),
        "segmentation.unet_family.resunetplusplus": ("resunetplusplus",),
        "segmentation.unet_family.unext": (
            "unext",
            "unext_s",
        ),
        "segmentation.unet_family.unet3plus": ("unet3plus",),
        "segmentation.unet_family.multiresunet": ("multiresunet",),
        "segmentation.unet_family.double_unet": ("double_unet",),
        "segmentation.transformer.dpt": ("dpt",),
        "segmentation.transformer.transunet": ("transunet",),
        "segmentation.transformer.swin_unet": ("swin_unet",),
        "segmentation.unet_family.sa_unet": ("sa_unet",),
        "segmentation.volumetric.unet3d": ("unet3d",),
        "segmentation.volumetric.vnet": (
            "vnet",
            "vnet_2d",
        ),
        "segmentation.transformer.uctransnet": ("uctransnet",),
        "segmentation.transformer.missformer": ("missformer",),
    },
}

# Names that `model.name` knows too, but that make no network; with the line that lists show.
BASELINES = {
    "hog": "Histograms of oriented gradients (Dalal & Triggs 2005) with logistic regression; "
    "no network."
}


def _load(module: str, name: str) -> Callable[..., Any]:
    family = importlib.import_module(module)
    return functools.partial(family.build, **family.VARIANTS[name])


for _task, _families in FAMILIES.items():
    for _family, _names in _families.items():
        _module = f"cnnlab.models.{_family}"
        for _name in _names:
            _factory = functools.partial(_load, _module, _name)
            MODELS.add(Entry(_name, _factory, _task, plugin=None, details={"module": _module}))


def list_models(pattern: str = "*", *, task: str | None = None) -> list[str]:
    """Lists the names of architectures that match a shell pattern, e.g. `resnet*`.

    Args:
      pattern: pattern of `fnmatch`.
      task: lists only architectures for this task, e.g. `classification`; None lists all.
    """
    return fnmatch.filter(MODELS.names(task=task), pattern)


def model_task(name: str) -> str:
    """Returns the task of an architecture: `classification` or `segmentation`."""
    return model_entry(name).task


def model_family(name: str) -> str | None:
    """Returns the file that defines an architecture, e.g. `resnet`; None for those of users."""
    entry = model_entry(name)
    return None if entry.plugin is not None else entry.details["module"].rpartition(".")[2]


def model_source(name: str) -> str:
    """Returns the first line about an architecture: its name and paper.

    It is the first line of the defining file's docstring, which is not imported, or of a registered
    factory's.
    """
    entry = model_entry(name)
    if entry.plugin is not None:
        return (inspect.getdoc(entry.load()) or "").partition("\n")[0]
    file = Path(importlib.util.find_spec(entry.details["module"]).origin)
    with file.open(encoding="utf-8") as lines:
        return next(lines).strip().strip('"')


def model_options(name: str) -> dict[str, Any]:
    """Returns the options of an architecture, keywords of `create_model`, with their defaults."""
    return {
        option: None if parameter.default is parameter.empty else parameter.default
        for option, parameter in inspect.signature(model_entry(name).load()).parameters.items()
        if option not in ("num_classes", "dtype") and parameter.kind is not parameter.VAR_KEYWORD
    }


def model_entry(name: str) -> Entry[Any]:
    """Returns the registered architecture of that name; raises a `UserError` for unknown names."""
    if name in BASELINES:
        raise UserError(
            f"'{name}' is a classical baseline and no network, so it has no layers: "
            "cnnlab.classical.fit and the command 'train' fit it."
        )
    if MODELS.find(name) is None:
        known = our_name(name)
        hint = f" {known}" if known else did_you_mean(name, [*MODELS.names(), *BASELINES])
        raise UserError(f"Unknown model '{name}'.{hint}")
    return MODELS.entry(name)
