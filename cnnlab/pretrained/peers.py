"""The reference models of classifiers: names, options, available weights."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from cnnlab.errors import UserError, did_you_mean
from cnnlab.models import list_models
from cnnlab.pretrained.key_maps import (
    alexnet,
    convnext,
    densenet,
    edgenext,
    mobile,
    regnet,
    repvgg,
    resnet,
    shufflenet,
    squeezenet,
    swin,
    transformers,
    vgg,
)
from cnnlab.pretrained.key_maps.inception import googlenet, inception_v3, inception_v4, xception
from cnnlab.pretrained.key_maps.residual import dla, hrnet
from cnnlab.pretrained.key_maps.rules import KeyMap
from cnnlab.pretrained.options import encoder_name
from cnnlab.pretrained.peer import Argument, ReferenceModel
from cnnlab.pretrained.segmenter_peers import segmenters, why_no_segmenter

# `smp` is segmentation_models_pytorch, as its users import it.
LIBRARIES = ("torchvision", "timm", "smp")

_TF = {"padding": "SAME", "norm_epsilon": 1e-3}
_TIMM_V3 = {"norm_epsilon": 1e-5}
_PYTORCH_LITE = {"padding": "torch", "norm_epsilon": 1e-5}


def _torchvision(
    naming: KeyMap, files: Mapping[str, Sequence[str]], **more: Any
) -> list[ReferenceModel]:
    more = {"namings": (naming,), **more}
    return [
        ReferenceModel("torchvision", name, name, {}, weights=w, **more)
        for name, w in files.items()
    ]


def _timm(naming: KeyMap, rows: Sequence[tuple], **more: Any) -> list[ReferenceModel]:
    """Rows: name there, our name, default tag ("" if there are no weights), options."""
    peers, more = [], {"namings": (naming,), **more}
    for name, architecture, tag, *rest in rows:
        options, tags = rest[0] if rest else {}, (tag,) if tag else ()
        peers.append(ReferenceModel("timm", name, architecture, options, weights=tags, **more))
    return peers


_CLASSIFIERS: tuple[ReferenceModel, ...] = (
    *_torchvision(alexnet.torchvision, {"alexnet": ("alexnet-owt-7be5be79",)}),
    *_torchvision(vgg.torchvision, {
        "vgg11": ("vgg11-8a719046",),
        "vgg13": ("vgg13-19584684",),
        "vgg16": ("vgg16-397923af",),
        "vgg19": ("vgg19-dcbb9e9d",),
        "vgg11_bn": ("vgg11_bn-6002323d",),
        "vgg13_bn": ("vgg13_bn-abd245e5",),
        "vgg16_bn": ("vgg16_bn-6c64b313",),
        "vgg19_bn": ("vgg19_bn-c79401a0",),
    }),
    *_timm(vgg.timm, [
        (f"vgg{depth}{norm}", f"vgg{depth}{norm}", "tv_in1k")
        for norm in ("", "_bn") for depth in (11, 13, 16, 19)
    ]),
    *_torchvision(
        googlenet.torchvision, {"googlenet": ("googlenet-1378be20",)}, optional=googlenet.OPTIONAL,
        arguments={"aux": Argument("aux_logits")},
    ),
    *_torchvision(
        inception_v3.naming, {"inception_v3": ("inception_v3_google-0cc3c7bd",)},
        optional=inception_v3.OPTIONAL, arguments={"aux": Argument("aux_logits")},
    ),
    *_timm(inception_v3.naming, [("inception_v3", "inception_v3", "tv_in1k", {"aux": False})],
           optional=inception_v3.OPTIONAL),
    *_timm(inception_v4.inception_v4, [("inception_v4", "inception_v4", "tf_in1k")]),
    *_timm(inception_v4.inception_resnet_v2, [
        ("inception_resnet_v2", "inception_resnet_v2", "tf_in1k"),
    ]),
    *_timm(xception.timm, [("legacy_xception", "legacy_xception", "tf_in1k")]),
    *_timm(xception.timm_aligned, [
        ("xception41", "xception41", "tf_in1k"),
        ("xception65", "xception65", "ra3_in1k"),
        ("xception71", "xception71", "tf_in1k"),
    ]),
    *_timm(xception.timm_aligned_preact, [
        ("xception41p", "xception41p", "ra3_in1k"),
        ("xception65p", "xception65p", "ra3_in1k"),
    ]),
    *_torchvision(resnet.v1, {
        "resnet18": ("resnet18-f37072fd",),
        "resnet34": ("resnet34-b627a593",),
        "resnet50": ("resnet50-0676ba61", "resnet50-11ad3fa6"),
        "resnet101": ("resnet101-63fe2227", "resnet101-cd907fc2"),
        "resnet152": ("resnet152-394f9c45", "resnet152-f82ba261"),
        "resnext50_32x4d": ("resnext50_32x4d-7cdf4587", "resnext50_32x4d-1a0047aa"),
        "resnext101_32x8d": ("resnext101_32x8d-8ba56ff5", "resnext101_32x8d-110c445d"),
        "resnext101_64x4d": ("resnext101_64x4d-173b62eb",),
        "wide_resnet50_2": ("wide_resnet50_2-95faca4d", "wide_resnet50_2-9ba9bcbe"),
        "wide_resnet101_2": ("wide_resnet101_2-32ee1156", "wide_resnet101_2-d733dc28"),
    }),
    *_timm(resnet.v1, [
        ("resnet18", "resnet18", "a1_in1k"),
        ("resnet34", "resnet34", "a1_in1k"),
        ("resnet50", "resnet50", "a1_in1k"),
        ("resnet101", "resnet101", "a1h_in1k"),
        ("resnet152", "resnet152", "a1h_in1k"),
        ("resnext50_32x4d", "resnext50_32x4d", "a1h_in1k"),
        ("resnext101_32x8d", "resnext101_32x8d", "tv_in1k"),
        ("resnext101_64x4d", "resnext101_64x4d", "c1_in1k"),
        ("wide_resnet50_2", "wide_resnet50_2", "racm_in1k"),
        ("wide_resnet101_2", "wide_resnet101_2", "tv_in1k"),
        ("seresnet18", "seresnet18", ""),
        ("seresnet34", "seresnet34", ""),
        ("seresnet50", "seresnet50", "a1_in1k"),
        ("seresnet101", "seresnet101", ""),
        ("seresnet152", "seresnet152", ""),
        ("seresnext50_32x4d", "seresnext50_32x4d", "racm_in1k"),
        ("resnet26", "resnet26", "bt_in1k"),
        ("resnext101_32x4d", "resnext101_32x4d", "fb_ssl_yfcc100m_ft_in1k"),
        ("seresnext101_32x4d", "seresnext101_32x4d", "gluon_in1k"),
        ("seresnext101_32x8d", "seresnext101_32x8d", "ah_in1k"),
        ("seresnext101_64x4d", "seresnext101_64x4d", "gluon_in1k"),
        ("res2net50_14w_8s", "res2net50_14w_8s", "in1k"),
        ("res2net50_26w_4s", "res2net50_26w_4s", "in1k"),
        ("res2net50_26w_6s", "res2net50_26w_6s", "in1k"),
        ("res2net50_26w_8s", "res2net50_26w_8s", "in1k"),
        ("res2net50_48w_2s", "res2net50_48w_2s", "in1k"),
        ("res2net101_26w_4s", "res2net101_26w_4s", "in1k"),
        ("res2next50", "res2next50", "in1k"),
    ]),
    *_timm(resnet.v1_pooled, [
        ("resnet18d", "resnet18d", "ra2_in1k"),
        ("resnet26d", "resnet26d", "bt_in1k"),
        ("resnet34d", "resnet34d", "ra2_in1k"),
        ("resnet50d", "resnet50d", "ra2_in1k"),
        ("resnet101d", "resnet101d", "ra2_in1k"),
        ("resnet152d", "resnet152d", "ra2_in1k"),
        ("resnet200d", "resnet200d", "ra2_in1k"),
        ("resnet10t", "resnet10t", "c3_in1k"),
        ("resnet14t", "resnet14t", "c3_in1k"),
        ("resnet26t", "resnet26t", "ra2_in1k"),
        ("resnet50t", "resnet50t", ""),
        ("resnext50d_32x4d", "resnext50d_32x4d", "bt_in1k"),
        ("seresnet152d", "seresnet152d", "ra2_in1k"),
        ("seresnext26d_32x4d", "seresnext26d_32x4d", "bt_in1k"),
        ("seresnext26t_32x4d", "seresnext26t_32x4d", "bt_in1k"),
        ("seresnext101d_32x8d", "seresnext101d_32x8d", "ah_in1k"),
        ("ecaresnet26t", "ecaresnet26t", "ra2_in1k"),
        ("ecaresnet50t", "ecaresnet50t", "ra2_in1k"),
        ("ecaresnet50d", "ecaresnet50d", "miil_in1k"),
        ("ecaresnet101d", "ecaresnet101d", "miil_in1k"),
        ("ecaresnet200d", "ecaresnet200d", ""),
        ("ecaresnet269d", "ecaresnet269d", "ra2_in1k"),
        ("ecaresnetlight", "ecaresnetlight", "miil_in1k"),
        ("res2net50d", "res2net50d", "in1k"),
        ("res2net101d", "res2net101d", "in1k"),
        ("resnest14d", "resnest14d", "gluon_in1k"),
        ("resnest26d", "resnest26d", "gluon_in1k"),
        ("resnest50d", "resnest50d", "in1k"),
        ("resnest101e", "resnest101e", "in1k"),
        ("resnest200e", "resnest200e", "in1k"),
        ("resnest269e", "resnest269e", "in1k"),
        ("resnest50d_1s4x24d", "resnest50d_1s4x24d", "in1k"),
        ("resnest50d_4s2x40d", "resnest50d_4s2x40d", "in1k"),
    ]),
    *_timm(resnet.v2_timm, [
        ("resnetv2_18", "resnetv2_18", "ra4_e3600_r224_in1k"),
        ("resnetv2_34", "resnetv2_34", "ra4_e3600_r224_in1k"),
        ("resnetv2_50", "resnetv2_50", "a1h_in1k"),
        ("resnetv2_101", "resnetv2_101", "a1h_in1k"),
        ("resnetv2_152", "resnetv2_152", ""),
    ]),
    *_torchvision(densenet.today, {
        "densenet121": ("densenet121-a639ec97",),
        "densenet161": ("densenet161-8d451a50",),
        "densenet169": ("densenet169-b2777c0a",),
        "densenet201": ("densenet201-c1103571",),
    }, namings=(densenet.today, densenet.downloads)),
    *_timm(densenet.today, [
        ("densenet121", "densenet121", "ra_in1k"),
        ("densenet161", "densenet161", "tv_in1k"),
        ("densenet169", "densenet169", "tv_in1k"),
        ("densenet201", "densenet201", "tv_in1k"),
    ]),
    *_torchvision(regnet.torchvision, {
        "regnet_x_400mf": ("regnet_x_400mf-adf1edd5", "regnet_x_400mf-62229a5f"),
        "regnet_x_800mf": ("regnet_x_800mf-ad17e45c", "regnet_x_800mf-94a99ebd"),
        "regnet_x_1_6gf": ("regnet_x_1_6gf-e3633e7f", "regnet_x_1_6gf-a12f2b72"),
        "regnet_x_3_2gf": ("regnet_x_3_2gf-f342aeae", "regnet_x_3_2gf-7071aa85"),
        "regnet_x_8gf": ("regnet_x_8gf-03ceed89", "regnet_x_8gf-2b70d774"),
        "regnet_x_16gf": ("regnet_x_16gf-2007eb11", "regnet_x_16gf-ba3796d7"),
        "regnet_x_32gf": ("regnet_x_32gf-9d47f8d0", "regnet_x_32gf-6eb8fdc6"),
        "regnet_y_400mf": ("regnet_y_400mf-c65dace8", "regnet_y_400mf-e6988f5f"),
        "regnet_y_800mf": ("regnet_y_800mf-1b27b58c", "regnet_y_800mf-58fc7688"),
        "regnet_y_1_6gf": ("regnet_y_1_6gf-b11a554e", "regnet_y_1_6gf-0d7bc02a"),
        "regnet_y_3_2gf": ("regnet_y_3_2gf-b5a9779c", "regnet_y_3_2gf-9180c971"),
        "regnet_y_8gf": ("regnet_y_8gf-d0d0e4a8", "regnet_y_8gf-dc2b1b54"),
        "regnet_y_16gf": (
            "regnet_y_16gf_lc_swag-f3ec0043",
            "regnet_y_16gf_swag-43afe44d",
            "regnet_y_16gf-9e6ed7dd",
            "regnet_y_16gf-3e4a00f9",
        ),
        "regnet_y_32gf": (
            "regnet_y_32gf_lc_swag-e1583746",
            "regnet_y_32gf_swag-04fdfa75",
            "regnet_y_32gf-4dee3f7a",
            "regnet_y_32gf-8db6d4b5",
        ),
        "regnet_y_128gf": ("regnet_y_128gf_lc_swag-cbe8ce12", "regnet_y_128gf_swag-c8ce3e52"),
    }),
    *_timm(regnet.timm, [
        ("regnetx_004", "regnet_x_400mf", "pycls_in1k", {"widths": (32, 64, 160, 384)}),
        ("regnetx_004_tv", "regnet_x_400mf", "tv2_in1k"),
        ("regnetx_008", "regnet_x_800mf", "tv2_in1k"),
        ("regnetx_016", "regnet_x_1_6gf", "tv2_in1k"),
        ("regnetx_032", "regnet_x_3_2gf", "tv2_in1k"),
        ("regnetx_080", "regnet_x_8gf", "tv2_in1k"),
        ("regnetx_160", "regnet_x_16gf", "tv2_in1k"),
        ("regnetx_320", "regnet_x_32gf", "tv2_in1k"),
        ("regnety_004", "regnet_y_400mf", "tv2_in1k"),
        ("regnety_008", "regnet_y_800mf", "pycls_in1k", {"widths": (64, 128, 320, 768)}),
        ("regnety_008_tv", "regnet_y_800mf", "tv2_in1k"),
        ("regnety_016", "regnet_y_1_6gf", "tv2_in1k"),
        ("regnety_032", "regnet_y_3_2gf", "ra_in1k"),
        ("regnety_080", "regnet_y_8gf", "ra3_in1k", {"widths": (168, 448, 896, 2016)}),
        ("regnety_080_tv", "regnet_y_8gf", "tv2_in1k"),
        ("regnety_160", "regnet_y_16gf", "sw_in12k_ft_in1k"),
        ("regnety_320", "regnet_y_32gf", "tv2_in1k"),
        ("regnety_1280", "regnet_y_128gf", "swag_ft_in1k"),
    ]),
    *_timm(dla.timm, [
        ("dla34", "dla34", "in1k"),
        ("dla46_c", "dla46_c", "in1k"),
        ("dla46x_c", "dla46x_c", "in1k"),
        ("dla60x_c", "dla60x_c", "in1k"),
        ("dla60", "dla60", "in1k"),
        ("dla60x", "dla60x", "in1k"),
        ("dla102", "dla102", "in1k"),
        ("dla102x", "dla102x", "in1k"),
        ("dla102x2", "dla102x2", "in1k"),
        ("dla169", "dla169", "in1k"),
        ("dla60_res2net", "dla60_res2net", "in1k"),
        ("dla60_res2next", "dla60_res2next", "in1k"),
    ]),
    *_timm(hrnet.timm, [
        ("hrnet_w18_small", "hrnet_w18_small", "gluon_in1k"),
        ("hrnet_w18_small_v2", "hrnet_w18_small_v2", "gluon_in1k"),
        ("hrnet_w18", "hrnet_w18", "ms_aug_in1k"),
        ("hrnet_w30", "hrnet_w30", "ms_in1k"),
        ("hrnet_w32", "hrnet_w32", "ms_in1k"),
        ("hrnet_w40", "hrnet_w40", "ms_in1k"),
        ("hrnet_w44", "hrnet_w44", "ms_in1k"),
        ("hrnet_w48", "hrnet_w48", "ms_in1k"),
        ("hrnet_w64", "hrnet_w64", "ms_in1k"),
        ("hrnet_w18_ssld", "hrnet_w18_ssld", "paddle_in1k"),
        ("hrnet_w48_ssld", "hrnet_w48_ssld", "paddle_in1k"),
    ]),
    *_timm(repvgg.timm, [
        ("repvgg_a0", "repvgg_a0", "rvgg_in1k"),
        ("repvgg_a1", "repvgg_a1", "rvgg_in1k"),
        ("repvgg_a2", "repvgg_a2", "rvgg_in1k"),
        ("repvgg_b0", "repvgg_b0", "rvgg_in1k"),
        ("repvgg_b1", "repvgg_b1", "rvgg_in1k"),
        ("repvgg_b1g4", "repvgg_b1g4", "rvgg_in1k"),
        ("repvgg_b2", "repvgg_b2", "rvgg_in1k"),
        ("repvgg_b2g4", "repvgg_b2g4", "rvgg_in1k"),
        ("repvgg_b3", "repvgg_b3", "rvgg_in1k"),
        ("repvgg_b3g4", "repvgg_b3g4", "rvgg_in1k"),
    ]),
    *_torchvision(convnext.torchvision, {
        "convnext_tiny": ("convnext_tiny-983f1562",),
        "convnext_small": ("convnext_small-0c510722",),
        "convnext_base": ("convnext_base-6075fbad",),
        "convnext_large": ("convnext_large-ea097f82",),
    }),
    *_timm(convnext.timm, [
        ("convnext_tiny", "convnext_tiny", "in12k_ft_in1k"),
        ("convnext_small", "convnext_small", "in12k_ft_in1k"),
        ("convnext_base", "convnext_base", "fb_in22k_ft_in1k"),
        ("convnext_large", "convnext_large", "fb_in22k_ft_in1k"),
        ("convnextv2_tiny", "convnextv2_tiny", "fcmae_ft_in22k_in1k"),
        ("convnextv2_small", "convnextv2_small", ""),
        ("convnextv2_base", "convnextv2_base", "fcmae_ft_in22k_in1k"),
        ("convnextv2_large", "convnextv2_large", "fcmae_ft_in22k_in1k"),
        ("convnextv2_huge", "convnextv2_huge", "fcmae_ft_in22k_in1k_384"),
    ]),
    *_timm(convnext.timm_small, [
        ("convnext_atto", "convnext_atto", "d2_in1k"),
        ("convnext_femto", "convnext_femto", "d1_in1k"),
        ("convnext_pico", "convnext_pico", "d1_in1k"),
        ("convnext_nano", "convnext_nano", "in12k_ft_in1k"),
        ("convnextv2_atto", "convnextv2_atto", "fcmae_ft_in1k"),
        ("convnextv2_femto", "convnextv2_femto", "fcmae_ft_in1k"),
        ("convnextv2_pico", "convnextv2_pico", "fcmae_ft_in1k"),
        ("convnextv2_nano", "convnextv2_nano", "fcmae_ft_in22k_in1k"),
    ]),
    *_torchvision(transformers.vit_torchvision, {
        "vit_b_16": (
            "vit_b_16_lc_swag-4e70ced5",
            "vit_b_16_swag-9ac1b537",
            "vit_b_16-c867db91",
        ),
        "vit_b_32": ("vit_b_32-d86f8d99",),
        "vit_l_16": (
            "vit_l_16_lc_swag-4d563306",
            "vit_l_16_swag-4f3808c9",
            "vit_l_16-852ce7e3",
        ),
        "vit_l_32": ("vit_l_32-c7638314",),
        "vit_h_14": ("vit_h_14_lc_swag-c1eb923e", "vit_h_14_swag-80465313"),
    }, namings=(transformers.vit_torchvision, transformers.vit_torchvision_downloads)),
    *_timm(transformers.vit_timm, [
        ("vit_tiny_patch16_224", "vit_ti_16", "augreg_in21k_ft_in1k"),
        ("vit_small_patch16_224", "vit_s_16", "augreg_in21k_ft_in1k"),
        ("vit_base_patch16_224", "vit_b_16", "augreg2_in21k_ft_in1k"),
        ("vit_base_patch32_224", "vit_b_32", "augreg_in21k_ft_in1k"),
        ("vit_large_patch16_224", "vit_l_16", "augreg_in21k_ft_in1k"),
        ("vit_large_patch32_224", "vit_l_32", "orig_in21k"),
        ("vit_huge_patch14_224", "vit_h_14", "orig_in21k"),
        ("deit_tiny_patch16_224", "vit_ti_16", "fb_in1k"),
        ("deit_small_patch16_224", "vit_s_16", "fb_in1k"),
        ("deit_base_patch16_224", "vit_b_16", "fb_in1k"),
        ("vit_small_patch14_dinov2", "vit_s_14_dinov2", "lvd142m"),
        ("vit_base_patch14_dinov2", "vit_b_14_dinov2", "lvd142m"),
        ("vit_large_patch14_dinov2", "vit_l_14_dinov2", "lvd142m"),
        ("vit_small_patch14_reg4_dinov2", "vit_small_patch14_reg4_dinov2", "lvd142m"),
        ("vit_base_patch14_reg4_dinov2", "vit_base_patch14_reg4_dinov2", "lvd142m"),
        ("vit_large_patch14_reg4_dinov2", "vit_large_patch14_reg4_dinov2", "lvd142m"),
        ("vit_small_patch32_224", "vit_small_patch32_224", "augreg_in21k_ft_in1k"),
        ("vit_small_patch8_224", "vit_small_patch8_224", "dino"),
        ("vit_base_patch8_224", "vit_base_patch8_224", "augreg2_in21k_ft_in1k"),
        ("deit_tiny_distilled_patch16_224", "deit_tiny_distilled_patch16_224", "fb_in1k"),
        ("deit_small_distilled_patch16_224", "deit_small_distilled_patch16_224", "fb_in1k"),
        ("deit_base_distilled_patch16_224", "deit_base_distilled_patch16_224", "fb_in1k"),
        ("deit3_small_patch16_224", "deit3_small_patch16_224", "fb_in1k"),
        ("deit3_medium_patch16_224", "deit3_medium_patch16_224", "fb_in1k"),
        ("deit3_base_patch16_224", "deit3_base_patch16_224", "fb_in1k"),
        ("deit3_large_patch16_224", "deit3_large_patch16_224", "fb_in1k"),
        ("deit3_huge_patch14_224", "deit3_huge_patch14_224", "fb_in1k"),
    ], optional=transformers.OPTIONAL),
    *_torchvision(swin.torchvision, {
        "swin_t": ("swin_t-704ceda3",),
        "swin_s": ("swin_s-5e29d889",),
        "swin_b": ("swin_b-68c6b09e",),
    }),
    *_torchvision(swin.torchvision_v2, {
        "swin_v2_t": ("swin_v2_t-b137f0e2",),
        "swin_v2_s": ("swin_v2_s-637d8ceb",),
        "swin_v2_b": ("swin_v2_b-781e5279",),
    }),
    *_timm(swin.timm[0], [
        ("swin_tiny_patch4_window7_224", "swin_t", "ms_in1k"),
        ("swin_small_patch4_window7_224", "swin_s", "ms_in22k_ft_in1k"),
        ("swin_base_patch4_window7_224", "swin_b", "ms_in22k_ft_in1k"),
        *((name, name, "ms_in22k_ft_in1k") for name in (
            "swin_large_patch4_window7_224",
            "swin_base_patch4_window12_384",
            "swin_large_patch4_window12_384",
        )),
    ], namings=swin.timm, optional=swin.OPTIONAL),
    *_timm(swin.timm_v2[0], [
        ("swinv2_tiny_window8_256", "swin_v2_t", "ms_in1k"),
        ("swinv2_small_window8_256", "swin_v2_s", "ms_in1k"),
        ("swinv2_base_window8_256", "swin_v2_b", "ms_in1k"),
        *((name, name, tag) for name, tag in (
            ("swinv2_tiny_window16_256", "ms_in1k"),
            ("swinv2_small_window16_256", "ms_in1k"),
            ("swinv2_base_window16_256", "ms_in1k"),
            ("swinv2_base_window12_192", "ms_in22k"),
            ("swinv2_base_window12to16_192to256", "ms_in22k_ft_in1k"),
            ("swinv2_base_window12to24_192to384", "ms_in22k_ft_in1k"),
            ("swinv2_large_window12_192", "ms_in22k"),
            ("swinv2_large_window12to16_192to256", "ms_in22k_ft_in1k"),
            ("swinv2_large_window12to24_192to384", "ms_in22k_ft_in1k"),
        )),
    ], namings=swin.timm_v2, optional=swin.OPTIONAL),
    *_torchvision(transformers.maxvit_torchvision, {"maxvit_t": ("maxvit_t-bc5ab103",)}),
    *_torchvision(squeezenet.torchvision, {
        "squeezenet1_0": ("squeezenet1_0-b66bff10",),
        "squeezenet1_1": ("squeezenet1_1-b8a52dc0",),
    }),
    *_torchvision(shufflenet.torchvision, {
        "shufflenet_v2_x0_5": ("shufflenetv2_x0.5-f707e7126e",),
        "shufflenet_v2_x1_0": ("shufflenetv2_x1-5666bf0f80",),
        "shufflenet_v2_x1_5": ("shufflenetv2_x1_5-3c479a10",),
        "shufflenet_v2_x2_0": ("shufflenetv2_x2_0-8be3c8ee",),
    }),
    *_torchvision(
        mobile.torchvision_v2,
        {"mobilenet_v2": ("mobilenet_v2-b0353104", "mobilenet_v2-7ebf99e0")},
    ),
    *_timm(mobile.timm_v2, [
        ("mobilenetv2_100", "mobilenet_v2", "ra_in1k"),
        ("mobilenetv2_035", "mobilenetv2_035", ""),
        ("mobilenetv2_050", "mobilenetv2_050", "lamb_in1k"),
        ("mobilenetv2_075", "mobilenetv2_075", ""),
        ("mobilenetv2_140", "mobilenetv2_140", "ra_in1k"),
        ("mobilenetv2_110d", "mobilenetv2_110d", "ra_in1k"),
        ("mobilenetv2_120d", "mobilenetv2_120d", "ra_in1k"),
    ]),
    *_timm(mobile.timm_efficientnet, [
        ("mobilenetv1_100", "mobilenetv1_100", "ra4_e3600_r224_in1k"),
        ("mobilenetv1_100h", "mobilenetv1_100h", "ra4_e3600_r224_in1k"),
        ("mobilenetv1_125", "mobilenetv1_125", "ra4_e3600_r224_in1k"),
    ]),
    *_torchvision(mobile.torchvision_v3, {
        "mobilenet_v3_small": ("mobilenet_v3_small-047dcff4",),
        "mobilenet_v3_large": ("mobilenet_v3_large-8738ca79", "mobilenet_v3_large-5c1a4163"),
    }),
    *_timm(mobile.timm_v3, [
        ("mobilenetv3_small_100", "mobilenet_v3_small", "lamb_in1k", _TIMM_V3),
        ("mobilenetv3_large_100", "mobilenet_v3_large", "ra_in1k", _TIMM_V3),
        ("mobilenetv3_small_050", "mobilenetv3_small_050", "lamb_in1k"),
        ("mobilenetv3_small_075", "mobilenetv3_small_075", "lamb_in1k"),
        ("mobilenetv3_large_075", "mobilenetv3_large_075", ""),
    ]),
    *_timm(mobile.timm_v4, [
        ("mobilenetv4_conv_small_035", "mobilenetv4_conv_small_035", ""),
        ("mobilenetv4_conv_small_050", "mobilenetv4_conv_small_050", "e3000_r224_in1k"),
        ("mobilenetv4_conv_small", "mobilenetv4_conv_small", "e2400_r224_in1k"),
        ("mobilenetv4_conv_medium", "mobilenetv4_conv_medium", "e500_r256_in1k"),
        ("mobilenetv4_conv_large", "mobilenetv4_conv_large", "e600_r384_in1k"),
        ("mobilenetv4_conv_aa_medium", "mobilenetv4_conv_aa_medium", ""),
        ("mobilenetv4_conv_aa_large", "mobilenetv4_conv_aa_large", "e230_r448_in12k_ft_in1k"),
        ("mobilenetv4_conv_blur_medium", "mobilenetv4_conv_blur_medium", "e500_r224_in1k"),
    ]),
    *_timm(mobile.timm_ghostnet, [
        ("ghostnet_050", "ghostnet_050", ""),
        ("ghostnet_100", "ghostnet_100", "in1k"),
        ("ghostnet_130", "ghostnet_130", ""),
        ("ghostnetv2_100", "ghostnetv2_100", "in1k"),
        ("ghostnetv2_130", "ghostnetv2_130", "in1k"),
        ("ghostnetv2_160", "ghostnetv2_160", "in1k"),
    ]),
    *_timm(edgenext.timm, [
        ("edgenext_xx_small", "edgenext_xx_small", "in1k"),
        ("edgenext_x_small", "edgenext_x_small", "in1k"),
        ("edgenext_small", "edgenext_small", "usi_in1k"),
        ("edgenext_base", "edgenext_base", "usi_in1k"),
    ]),
    *_torchvision(mobile.torchvision_efficientnet, {
        "efficientnet_b0": ("efficientnet_b0_rwightman-7f5810bc",),
        "efficientnet_b1": ("efficientnet_b1_rwightman-bac287d4", "efficientnet_b1-c27df63c"),
        "efficientnet_b2": ("efficientnet_b2_rwightman-c35c1473",),
        "efficientnet_b3": ("efficientnet_b3_rwightman-b3899882",),
        "efficientnet_b4": ("efficientnet_b4_rwightman-23ab8bcd",),
        "efficientnet_b5": ("efficientnet_b5_lukemelas-1a07897c",),
        "efficientnet_b6": ("efficientnet_b6_lukemelas-24a108a5",),
        "efficientnet_b7": ("efficientnet_b7_lukemelas-c5b4e57e",),
    }),
    *_timm(mobile.timm_efficientnet, [
        ("efficientnet_b0", "efficientnet_b0", "ra_in1k"),
        ("efficientnet_b1", "efficientnet_b1", "ra4_e3600_r240_in1k"),
        ("efficientnet_b2", "efficientnet_b2", "ra_in1k"),
        ("efficientnet_b3", "efficientnet_b3", "ra2_in1k"),
        ("efficientnet_b4", "efficientnet_b4", "ra2_in1k"),
        ("efficientnet_b5", "efficientnet_b5", "sw_in12k_ft_in1k", {"norm_epsilon": 1e-5}),
        ("tf_efficientnet_b0", "efficientnet_b0", "ns_jft_in1k", _TF),
        ("tf_efficientnet_b1", "efficientnet_b1", "ns_jft_in1k", _TF),
        ("tf_efficientnet_b2", "efficientnet_b2", "ns_jft_in1k", _TF),
        ("tf_efficientnet_b3", "efficientnet_b3", "ns_jft_in1k", _TF),
        ("tf_efficientnet_b4", "efficientnet_b4", "ns_jft_in1k", _TF),
        ("tf_efficientnet_b5", "efficientnet_b5", "ns_jft_in1k", _TF),
        ("tf_efficientnet_b6", "efficientnet_b6", "ns_jft_in1k", _TF),
        ("tf_efficientnet_b7", "efficientnet_b7", "ns_jft_in1k", _TF),
        ("tf_efficientnet_lite0", "tf_efficientnet_lite0", "in1k"),
        ("tf_efficientnet_lite1", "tf_efficientnet_lite1", "in1k"),
        ("tf_efficientnet_lite2", "tf_efficientnet_lite2", "in1k"),
        ("tf_efficientnet_lite3", "tf_efficientnet_lite3", "in1k"),
        ("tf_efficientnet_lite4", "tf_efficientnet_lite4", "in1k"),
        ("efficientnet_lite0", "tf_efficientnet_lite0", "ra_in1k", _PYTORCH_LITE),
        ("efficientnet_lite1", "tf_efficientnet_lite1", "", _PYTORCH_LITE),
        ("efficientnet_lite2", "tf_efficientnet_lite2", "", _PYTORCH_LITE),
        ("efficientnet_lite3", "tf_efficientnet_lite3", "", _PYTORCH_LITE),
        ("efficientnet_lite4", "tf_efficientnet_lite4", "", _PYTORCH_LITE),
    ]),
    *_torchvision(mobile.torchvision_mnasnet, {
        "mnasnet0_5": ("mnasnet0.5_top1_67.823-3ffadce67e",),
        "mnasnet0_75": ("mnasnet0_75-7090bc5f",),
        "mnasnet1_0": ("mnasnet1.0_top1_73.512-f206786ef8",),
        "mnasnet1_3": ("mnasnet1_3-a4c69d6f",),
    }, version=2),
    *_timm(mobile.timm_efficientnet, [("mnasnet_100", "mnasnet1_0", "rmsp_in1k")]),
    *_torchvision(mobile.torchvision_efficientnet, {
        "efficientnet_v2_s": ("efficientnet_v2_s-dd5fe13b",),
        "efficientnet_v2_m": ("efficientnet_v2_m-dc08266a",),
        "efficientnet_v2_l": ("efficientnet_v2_l-59c71312",),
    }),
    *_timm(mobile.timm_efficientnet, [
        ("tf_efficientnetv2_s", "efficientnet_v2_s", "in21k_ft_in1k", {"padding": "SAME"}),
        ("tf_efficientnetv2_m", "efficientnet_v2_m", "in21k_ft_in1k", {"padding": "SAME"}),
        ("tf_efficientnetv2_l", "efficientnet_v2_l", "in21k_ft_in1k", {"padding": "SAME"}),
        ("tf_efficientnetv2_b0", "tf_efficientnetv2_b0", "in1k"),
        ("tf_efficientnetv2_b1", "tf_efficientnetv2_b1", "in1k"),
        ("tf_efficientnetv2_b2", "tf_efficientnetv2_b2", "in1k"),
        ("tf_efficientnetv2_b3", "tf_efficientnetv2_b3", "in21k_ft_in1k"),
        ("efficientnetv2_rw_t", "efficientnetv2_rw_t", "ra2_in1k"),
        ("efficientnetv2_rw_s", "efficientnetv2_rw_s", "ra2_in1k"),
        ("efficientnetv2_rw_m", "efficientnetv2_rw_m", "agc_in1k"),
    ]),
    *(
        ReferenceModel("efficientnet_pytorch", f"efficientnet-lite{size}",
                       f"tf_efficientnet_lite{size}", {}, (mobile.efficientnet_pytorch,))
        for size in range(5)
    ),
)  # fmt: skip
PEERS: tuple[ReferenceModel, ...] = (*_CLASSIFIERS, *segmenters(_CLASSIFIERS))

# Architectures that none of the libraries has; a pattern, and why.
WITHOUT_PEER = {
    "mlp|lenet.*": "for digits; both are for ImageNet",
    "alexnet_2012|googlenet_v1": "as in the paper; theirs is another network",
    "nin(_cifar)?": "neither library has it",
    ".*_d2l": "as in the book d2l.ai; theirs is another network",
    r"resnet(9|20|32|44|56|110)|densenet_bc_.*|wrn_.*": "for CIFAR; both are for ImageNet",
    r"mit_b\d": "segmentation_models_pytorch has it as an encoder; no library has the classifier",
    "fcn(32|16|8)s": "as in the paper; torchvision's `fcn` dilates a ResNet instead",
    r"(?!encoder_)\w*(unet|u2net|unext|vnet|uctransnet)\w*|missformer": "no library has it",
}  # fmt: skip


def peers_of(architecture: str, library: str | None = None) -> list[ReferenceModel]:
    """Returns the reference models of an architecture, in one library or all; checks its name."""
    if architecture not in list_models():
        hint = did_you_mean(architecture, list_models())
        raise UserError(f"Unknown model '{architecture}'.{hint}")
    return [
        peer
        for peer in PEERS
        if peer.architecture == architecture and library in (None, peer.library)
    ]


def peers_with_encoder(
    peers: Sequence[ReferenceModel], options: Mapping[str, Any]
) -> list[ReferenceModel]:
    """Returns the reference models with the encoder in `options`, or all if it is not set."""
    encoder = encoder_name(peers[0].architecture, options) if peers else None
    return [peer for peer in peers if encoder in (None, peer.options.get("encoder"))]


def find_peer(library: str, name: str) -> ReferenceModel:
    """Returns the reference model `name` in `library`; the error says why, or the nearest ones."""
    known = {peer.name: peer for peer in PEERS if peer.library == library}
    if name not in known:
        why = why_no_segmenter(name, _CLASSIFIERS) if library == "smp" else None
        if why is not None:
            raise UserError(f"The weights of '{library}/{name}' cannot be loaded: {why}.")
        raise UserError(
            f"'{library}/{name}' is none of the networks whose weights can be "
            f"loaded.{did_you_mean(name, known)}"
        )
    return known[name]


def why_no_peer(architecture: str) -> str | None:
    """Returns the reason why an architecture has no reference model; None if none is known."""
    reasons = (why for pattern, why in WITHOUT_PEER.items() if re.fullmatch(pattern, architecture))
    return next(reasons, None)
