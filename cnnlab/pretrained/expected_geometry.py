"""The image size, scaling and crop that pretrained weights expect."""

import functools
from typing import NamedTuple


class ImageGeometry(NamedTuple):
    """How images were resized for the evaluation of weights.

    Attributes:
      image_size: height and width in pixels.
      crop_fraction: share of the scaled image that is kept, in (0, 1].
      interpolation: interpolation of the scaling.
      resize: `shortest` or `squash`.
    """

    image_size: int
    crop_fraction: float
    interpolation: str
    resize: str = "shortest"


def image_geometry(source: str) -> ImageGeometry | None:
    """Returns that of `timm/...` and `torchvision/...` classifiers; None if it is unknown."""
    library, _, name = source.partition("/")
    return _known(library).get(name)


@functools.cache
def _known(library: str) -> dict[str, ImageGeometry]:
    table = {"timm": _TIMM, "torchvision": _TORCHVISION}.get(library, {})
    found = {}
    for geometry, entries in table.items():
        for entry in entries.split():
            name, *tags = entry.split(":")
            found |= {f"{name}.{tag}" if tag else name: geometry for tag in tags}
    return found


# As timm's `pretrained_cfg` and the `transforms` of torchvision's weights have it: network:tag:tag,
# where an empty tag stands for the name alone, which is its default weights.
_TIMM: dict[ImageGeometry, str] = {
    ImageGeometry(192, 0.9, "bicubic"): """
        swinv2_base_window12_192::ms_in22k swinv2_large_window12_192::ms_in22k
    """,
    ImageGeometry(224, 0.875, "bicubic"): """
        hrnet_w18_small::gluon_in1k hrnet_w18_small_v2::gluon_in1k
        resnest50d_1s4x24d::in1k resnest50d_4s2x40d::in1k
        convnext_base::fb_in1k:fb_in22k:fb_in22k_ft_in1k
        convnext_large::fb_in1k:fb_in22k:fb_in22k_ft_in1k
        convnext_small:fb_in1k:fb_in22k:fb_in22k_ft_in1k
        convnext_tiny:fb_in1k:fb_in22k:fb_in22k_ft_in1k densenet121::ra_in1k:tv_in1k
        densenet161::tv_in1k densenet169::tv_in1k densenet201::tv_in1k ecaresnet101d::miil_in1k
        ecaresnet50d::miil_in1k ecaresnetlight::miil_in1k efficientnet_b0::ra_in1k
        efficientnet_b1:ft_in1k mnasnet_100::rmsp_in1k mobilenetv2_100::ra_in1k
        mobilenetv3_large_100::ra_in1k mobilenetv3_small_100::lamb_in1k regnetx_004::pycls_in1k
        regnetx_008:pycls_in1k regnetx_016:pycls_in1k regnetx_032:pycls_in1k regnetx_080:pycls_in1k
        regnetx_160:pycls_in1k regnetx_320:pycls_in1k regnety_004:pycls_in1k regnety_008::pycls_in1k
        regnety_016:pycls_in1k regnety_032:pycls_in1k regnety_080:pycls_in1k regnety_160:pycls_in1k
        regnety_320:pycls_in1k resnet101:gluon_in1k resnet101d:gluon_in1k resnet152:gluon_in1k
        resnet152d:gluon_in1k resnet18:gluon_in1k resnet18d::ra2_in1k resnet26::bt_in1k
        resnet26d::bt_in1k resnet34:bt_in1k:gluon_in1k resnet34d::ra2_in1k
        resnet50:am_in1k:bt_in1k:gluon_in1k:ra_in1k:ram_in1k resnet50d::gluon_in1k:ra2_in1k
        resnext101_32x4d:gluon_in1k resnext101_64x4d:gluon_in1k resnext50_32x4d:gluon_in1k:ra_in1k
        resnext50d_32x4d::bt_in1k seresnet50:ra2_in1k seresnext101_32x4d::gluon_in1k
        seresnext101_64x4d::gluon_in1k seresnext26d_32x4d::bt_in1k seresnext26t_32x4d::bt_in1k
        seresnext50_32x4d::gluon_in1k:racm_in1k tf_efficientnet_b0::aa_in1k:ap_in1k:in1k:ns_jft_in1k
        tf_efficientnet_lite0::in1k wide_resnet50_2::racm_in1k efficientnet_lite0::ra_in1k
        convnext_atto::d2_in1k convnext_femto::d1_in1k convnext_pico::d1_in1k
        convnextv2_atto::fcmae:fcmae_ft_in1k convnextv2_femto::fcmae:fcmae_ft_in1k
        convnextv2_pico::fcmae:fcmae_ft_in1k
        convnextv2_nano::fcmae:fcmae_ft_in1k:fcmae_ft_in22k_in1k
        convnextv2_tiny::fcmae:fcmae_ft_in1k:fcmae_ft_in22k_in1k
        convnextv2_base::fcmae:fcmae_ft_in1k:fcmae_ft_in22k_in1k
        convnextv2_large::fcmae:fcmae_ft_in1k:fcmae_ft_in22k_in1k
        convnextv2_huge:fcmae:fcmae_ft_in1k
        mobilenetv2_050::lamb_in1k mobilenetv2_140::ra_in1k mobilenetv3_small_050::lamb_in1k
        mobilenetv3_small_075::lamb_in1k mobilenetv2_110d::ra_in1k mobilenetv2_120d::ra_in1k
        mobilenetv1_100::ra4_e3600_r224_in1k mobilenetv1_100h::ra4_e3600_r224_in1k
        mobilenetv4_conv_small::e1200_r224_in1k:e2400_r224_in1k
        mobilenetv4_conv_small_050::e3000_r224_in1k ghostnet_100::in1k ghostnetv2_100::in1k
        ghostnetv2_130::in1k ghostnetv2_160::in1k
    """,
    ImageGeometry(256, 1.0, "bicubic"): """
        convnext_base:clip_laion2b:clip_laion2b_augreg:clip_laion2b_augreg_ft_in1k
        convnext_base:clip_laion2b_augreg_ft_in12k:clip_laion2b_augreg_ft_in12k_in1k
        convnext_base:clip_laiona:eupe_lvd1689m convnext_small:eupe_lvd1689m
        convnext_tiny:eupe_lvd1689m
    """,
    ImageGeometry(384, 1.0, "bicubic", "squash"): """
        convnext_base:clip_laion2b_augreg_ft_in12k_in1k_384:fb_in22k_ft_in1k_384
        convnext_large:fb_in22k_ft_in1k_384
        convnext_small:fb_in22k_ft_in1k_384:in12k_ft_in1k_384
        convnext_tiny:fb_in22k_ft_in1k_384:in12k_ft_in1k_384
        tf_efficientnetv2_l::in1k:in21k:in21k_ft_in1k
        tf_efficientnetv2_m::in1k:in21k:in21k_ft_in1k
        convnextv2_nano:fcmae_ft_in22k_in1k_384 convnextv2_tiny:fcmae_ft_in22k_in1k_384
        convnextv2_base:fcmae_ft_in22k_in1k_384 convnextv2_large:fcmae_ft_in22k_in1k_384
        convnextv2_huge::fcmae_ft_in22k_in1k_384
    """,
    ImageGeometry(320, 1.0, "bicubic"): """
        convnext_base:clip_laiona_320:clip_laiona_augreg_320 efficientnetv2_rw_m::agc_in1k
    """,
    ImageGeometry(384, 1.0, "bicubic"): """
        convnext_base:clip_laiona_augreg_ft_in1k_384 regnety_1280::seer_ft_in1k:swag_ft_in1k
        regnety_160:swag_ft_in1k regnety_320:seer_ft_in1k:swag_ft_in1k
        convnext_nano:r384_ad_in12k:r384_in12k:r384_in12k_ft_in1k
        mobilenetv4_conv_medium:e180_ad_r384_in12k:e180_r384_in12k:e250_r384_in12k
        swin_base_patch4_window12_384:ms_in1k:ms_in22k::ms_in22k_ft_in1k
        swin_large_patch4_window12_384:ms_in22k::ms_in22k_ft_in1k
        swinv2_base_window12to24_192to384::ms_in22k_ft_in1k
        swinv2_large_window12to24_192to384::ms_in22k_ft_in1k
    """,
    ImageGeometry(224, 1.0, "bicubic"): """
        convnext_base:dinov3_lvd1689m convnext_large:dinov3_lvd1689m
        convnext_small:dinov3_lvd1689m convnext_tiny:dinov3_lvd1689m resnet50:bamboo
        vit_base_patch16_224:bamboo efficientnetv2_rw_t::ra2_in1k
        deit3_small_patch16_224:fb_in22k_ft_in1k deit3_medium_patch16_224:fb_in22k_ft_in1k
        deit3_base_patch16_224:fb_in22k_ft_in1k deit3_large_patch16_224:fb_in22k_ft_in1k
        deit3_huge_patch14_224:fb_in22k_ft_in1k
    """,
    ImageGeometry(224, 0.95, "bicubic"): """
        convnext_small::in12k:in12k_ft_in1k convnext_tiny::in12k:in12k_ft_in1k
        ecaresnet50t:a1_in1k:a2_in1k mobilenetv3_large_100:ra4_e3600_r224_in1k regnety_032::ra_in1k
        regnety_080::ra3_in1k regnety_160::deit_in1k:lion_in12k_ft_in1k:sw_in12k:sw_in12k_ft_in1k
        resnet101::a1_in1k:a1h_in1k:a2_in1k resnet152::a1_in1k:a1h_in1k:a2_in1k
        resnet18::a1_in1k:a2_in1k resnet34::a1_in1k:a2_in1k
        resnet50::a1_in1k:a2_in1k:b1k_in1k:b2k_in1k:c1_in1k:c2_in1k:d_in1k
        resnet50d:a1_in1k:a2_in1k:ra4_e3600_r224_in1k resnetv2_101::a1h_in1k resnetv2_50::a1h_in1k
        resnext101_64x4d::c1_in1k resnext50_32x4d::a1_in1k:a1h_in1k:a2_in1k
        seresnet50::a1_in1k:a2_in1k seresnext101_32x8d::ah_in1k seresnext101d_32x8d::ah_in1k
        convnext_nano::d1h_in1k:in12k:in12k_ft_in1k
        mobilenetv4_conv_blur_medium::e500_r224_in1k mobilenetv4_conv_medium:e500_r224_in1k
    """,
    ImageGeometry(224, 0.9, "bicubic"): """
        deit_base_patch16_224::fb_in1k deit_small_patch16_224::fb_in1k
        deit_tiny_patch16_224::fb_in1k efficientnet_b0:ra4_e3600_r224_in1k
        resnet18d:ra4_e3600_r224_in1k resnet34:ra4_e3600_r224_in1k resnetv2_18::ra4_e3600_r224_in1k
        resnetv2_34::ra4_e3600_r224_in1k mobilenetv1_125::ra4_e3600_r224_in1k
        vit_base_patch16_224::augreg2_in21k_ft_in1k:augreg_in1k:augreg_in21k
        vit_base_patch16_224:augreg_in21k_ft_in1k:dino:mae:orig_in21k:orig_in21k_ft_in1k
        vit_base_patch16_224:sam_in1k
        vit_base_patch32_224::augreg_in1k:augreg_in21k:augreg_in21k_ft_in1k:orig_in21k
        vit_base_patch32_224:sam_in1k vit_huge_patch14_224::mae:orig_in21k
        vit_large_patch16_224::augreg_in21k:augreg_in21k_ft_in1k:mae:orig_in21k
        vit_large_patch32_224::orig_in21k
        vit_small_patch16_224::augreg_in1k:augreg_in21k:augreg_in21k_ft_in1k:dino
        vit_tiny_patch16_224::augreg_in21k:augreg_in21k_ft_in1k
        vit_small_patch32_224::augreg_in21k:augreg_in21k_ft_in1k vit_small_patch8_224::dino
        vit_base_patch8_224::augreg2_in21k_ft_in1k:augreg_in21k:augreg_in21k_ft_in1k:dino
        deit_tiny_distilled_patch16_224::fb_in1k deit_small_distilled_patch16_224::fb_in1k
        deit_base_distilled_patch16_224::fb_in1k deit3_small_patch16_224::fb_in1k
        deit3_medium_patch16_224::fb_in1k deit3_base_patch16_224::fb_in1k
        deit3_large_patch16_224::fb_in1k deit3_huge_patch14_224::fb_in1k
        swin_tiny_patch4_window7_224::ms_in1k:ms_in22k:ms_in22k_ft_in1k
        swin_small_patch4_window7_224:ms_in1k:ms_in22k::ms_in22k_ft_in1k
        swin_base_patch4_window7_224:ms_in1k:ms_in22k::ms_in22k_ft_in1k
        swin_large_patch4_window7_224:ms_in22k::ms_in22k_ft_in1k
    """,
    ImageGeometry(240, 0.9, "bicubic"): """
        efficientnet_b1::ra4_e3600_r240_in1k
    """,
    ImageGeometry(256, 0.875, "bilinear"): """
        resnest101e::in1k
    """,
    ImageGeometry(320, 0.909, "bicubic"): """
        resnest200e::in1k
    """,
    ImageGeometry(416, 0.928, "bicubic"): """
        resnest269e::in1k
    """,
    ImageGeometry(256, 0.875, "bicubic"): """
        ecaresnet26t::ra2_in1k ecaresnet50t::ra2_in1k efficientnet_b2::ra_in1k
    """,
    ImageGeometry(288, 0.875, "bicubic"): """
        efficientnet_b3::ra2_in1k
    """,
    ImageGeometry(320, 0.875, "bicubic"): """
        efficientnet_b4::ra2_in1k
    """,
    ImageGeometry(448, 1.0, "bicubic", "squash"): """
        efficientnet_b5::sw_in12k_ft_in1k
    """,
    ImageGeometry(416, 0.95, "bicubic"): """
        efficientnet_b5:sw_in12k
    """,
    ImageGeometry(299, 0.875, "bicubic"): """
        inception_v3::gluon_in1k:tf_adv_in1k:tf_in1k:tv_in1k inception_v4::tf_in1k
    """,
    ImageGeometry(299, 0.8975, "bicubic"): """
        inception_resnet_v2::tf_in1k:tf_ens_adv_in1k legacy_xception::tf_in1k
    """,
    ImageGeometry(299, 0.903, "bicubic"): """
        xception41::tf_in1k xception65:tf_in1k xception71::tf_in1k
    """,
    ImageGeometry(299, 0.94, "bicubic"): """
        xception65::ra3_in1k xception41p::ra3_in1k xception65p::ra3_in1k
    """,
    ImageGeometry(224, 0.95, "bilinear"): """
        hrnet_w18::ms_aug_in1k hrnet_w18_ssld::paddle_in1k hrnet_w48_ssld::paddle_in1k
    """,
    ImageGeometry(224, 0.875, "bilinear"): """
        hrnet_w18:ms_in1k hrnet_w18_small:ms_in1k hrnet_w18_small_v2:ms_in1k hrnet_w30::ms_in1k
        hrnet_w32::ms_in1k hrnet_w40::ms_in1k hrnet_w44::ms_in1k hrnet_w48::ms_in1k
        hrnet_w64::ms_in1k
        dla34::in1k dla46_c::in1k dla46x_c::in1k dla60::in1k dla60x::in1k dla60x_c::in1k
        dla60_res2net::in1k dla60_res2next::in1k dla102::in1k dla102x::in1k dla102x2::in1k
        dla169::in1k
        mobilenetv3_large_100:miil_in21k:miil_in21k_ft_in1k res2net101_26w_4s::in1k
        res2net101d::in1k res2net50_14w_8s::in1k res2net50_26w_4s::in1k res2net50_26w_6s::in1k
        res2net50_26w_8s::in1k res2net50_48w_2s::in1k res2net50d::in1k res2next50::in1k
        repvgg_a0::rvgg_in1k resnest14d::gluon_in1k resnest26d::gluon_in1k resnest50d::in1k
        repvgg_a1::rvgg_in1k repvgg_a2::rvgg_in1k repvgg_b0::rvgg_in1k repvgg_b1::rvgg_in1k
        repvgg_b1g4::rvgg_in1k repvgg_b2::rvgg_in1k repvgg_b2g4::rvgg_in1k repvgg_b3::rvgg_in1k
        repvgg_b3g4::rvgg_in1k resnet101:tv_in1k resnet152:tv_in1k
        resnet18:fb_ssl_yfcc100m_ft_in1k:fb_swsl_ig1b_ft_in1k:tv_in1k resnet34:tv_in1k
        resnet50:fb_ssl_yfcc100m_ft_in1k:fb_swsl_ig1b_ft_in1k:tv_in1k
        resnext101_32x4d::fb_ssl_yfcc100m_ft_in1k:fb_swsl_ig1b_ft_in1k
        resnext101_32x8d::fb_ssl_yfcc100m_ft_in1k:fb_swsl_ig1b_ft_in1k
        resnext101_32x8d:fb_wsl_ig1b_ft_in1k:tv_in1k resnext101_64x4d:tv_in1k
        resnext50_32x4d:fb_ssl_yfcc100m_ft_in1k:fb_swsl_ig1b_ft_in1k:tv_in1k vgg11::tv_in1k
        vgg11_bn::tv_in1k vgg13::tv_in1k vgg13_bn::tv_in1k vgg16::tv_in1k vgg16_bn::tv_in1k
        vgg19::tv_in1k vgg19_bn::tv_in1k wide_resnet101_2::tv_in1k wide_resnet50_2:tv_in1k
    """,
    ImageGeometry(224, 0.965, "bicubic"): """
        regnetx_004_tv::tv2_in1k regnetx_008::tv2_in1k regnetx_016::tv2_in1k
        regnetx_032::tv2_in1k regnetx_080::tv2_in1k regnetx_160::tv2_in1k regnetx_320::tv2_in1k
        regnety_004::tv2_in1k regnety_008_tv::tv2_in1k regnety_016::tv2_in1k
        regnety_032:tv2_in1k regnety_080_tv::tv2_in1k regnety_1280:seer:swag_lc_in1k
        regnety_160:swag_lc_in1k:tv2_in1k regnety_320::seer:swag_lc_in1k:tv2_in1k
    """,
    ImageGeometry(160, 0.95, "bicubic"): """
        ecaresnet50t:a3_in1k resnet101:a3_in1k resnet152:a3_in1k resnet18:a3_in1k resnet34:a3_in1k
        resnet50:a3_in1k resnet50d:a3_in1k resnext50_32x4d:a3_in1k seresnet50:a3_in1k
    """,
    ImageGeometry(176, 0.875, "bilinear"): """
        resnet101:tv2_in1k resnet152:tv2_in1k resnet50:tv2_in1k resnext101_32x8d:tv2_in1k
        resnext50_32x4d:tv2_in1k wide_resnet101_2:tv2_in1k wide_resnet50_2:tv2_in1k
    """,
    ImageGeometry(176, 0.9, "bicubic"): """
        resnet50:a1h_in1k
    """,
    ImageGeometry(240, 0.882, "bicubic"): """
        tf_efficientnet_b1::aa_in1k:ap_in1k:in1k:ns_jft_in1k tf_efficientnet_lite1::in1k
    """,
    ImageGeometry(260, 0.89, "bicubic"): """
        tf_efficientnet_b2::aa_in1k:ap_in1k:in1k:ns_jft_in1k tf_efficientnet_lite2::in1k
    """,
    ImageGeometry(300, 0.904, "bicubic"): """
        tf_efficientnet_b3::aa_in1k:ap_in1k:in1k:ns_jft_in1k
    """,
    ImageGeometry(192, 0.875, "bicubic"): """
        tf_efficientnetv2_b0::in1k
    """,
    ImageGeometry(192, 0.882, "bicubic"): """
        tf_efficientnetv2_b1::in1k
    """,
    ImageGeometry(208, 0.89, "bicubic"): """
        tf_efficientnetv2_b2::in1k
    """,
    ImageGeometry(240, 0.904, "bicubic"): """
        tf_efficientnetv2_b3:in1k:in21k
    """,
    ImageGeometry(240, 0.9, "bicubic", "squash"): """
        tf_efficientnetv2_b3::in21k_ft_in1k
    """,
    ImageGeometry(288, 1.0, "bicubic"): """
        efficientnetv2_rw_s::ra2_in1k
    """,
    ImageGeometry(300, 0.904, "bilinear"): """
        tf_efficientnet_lite3::in1k
    """,
    ImageGeometry(380, 0.92, "bilinear"): """
        tf_efficientnet_lite4::in1k
    """,
    ImageGeometry(380, 0.922, "bicubic"): """
        tf_efficientnet_b4::aa_in1k:ap_in1k:in1k:ns_jft_in1k
    """,
    ImageGeometry(456, 0.934, "bicubic"): """
        tf_efficientnet_b5::aa_in1k:ap_in1k:in1k:ns_jft_in1k:ra_in1k
    """,
    ImageGeometry(528, 0.942, "bicubic"): """
        tf_efficientnet_b6::aa_in1k:ap_in1k:ns_jft_in1k
    """,
    ImageGeometry(600, 0.949, "bicubic"): """
        tf_efficientnet_b7::aa_in1k:ap_in1k:ns_jft_in1k:ra_in1k
    """,
    ImageGeometry(300, 1.0, "bicubic"): """
        tf_efficientnetv2_s::in1k:in21k:in21k_ft_in1k
    """,
    ImageGeometry(518, 1.0, "bicubic"): """
        vit_base_patch14_dinov2::lvd142m vit_large_patch14_dinov2::lvd142m
        vit_small_patch14_dinov2::lvd142m
        vit_small_patch14_reg4_dinov2::lvd142m vit_base_patch14_reg4_dinov2::lvd142m
        vit_large_patch14_reg4_dinov2::lvd142m
    """,
    ImageGeometry(384, 0.95, "bicubic"): """
        mobilenetv4_conv_aa_large:e230_r384_in12k:e230_r384_in12k_ft_in1k:e600_r384_in1k
        mobilenetv4_conv_large::e600_r384_in1k mobilenetv4_conv_medium:e250_r384_in12k_ft_in1k
    """,
    ImageGeometry(448, 0.95, "bicubic"): """
        mobilenetv4_conv_aa_large::e230_r448_in12k_ft_in1k
    """,
    ImageGeometry(256, 0.9, "bicubic"): """
        swinv2_tiny_window8_256::ms_in1k swinv2_small_window8_256::ms_in1k
        swinv2_base_window8_256::ms_in1k swinv2_tiny_window16_256::ms_in1k
        swinv2_small_window16_256::ms_in1k swinv2_base_window16_256::ms_in1k
        swinv2_base_window12to16_192to256::ms_in22k_ft_in1k
        swinv2_large_window12to16_192to256::ms_in22k_ft_in1k
        edgenext_x_small::in1k edgenext_xx_small::in1k
    """,
    ImageGeometry(256, 0.95, "bicubic"): """
        mobilenetv4_conv_large:e500_r256_in1k mobilenetv4_conv_medium::e500_r256_in1k
        mobilenetv4_conv_small:e3600_r256_in1k edgenext_base::in21k_ft_in1k:usi_in1k
        edgenext_small::usi_in1k
        resnet101d::ra2_in1k resnet152d::ra2_in1k resnet200d::ra2_in1k seresnet152d::ra2_in1k
    """,
    ImageGeometry(176, 0.875, "bicubic"): """
        resnet10t::c3_in1k resnet14t::c3_in1k
    """,
    ImageGeometry(256, 0.94, "bicubic"): """
        resnet26t::ra2_in1k
    """,
    ImageGeometry(320, 0.95, "bicubic"): """
        ecaresnet269d::ra2_in1k
    """,
    ImageGeometry(512, 1.0, "bicubic", "squash"): """
        convnextv2_huge:fcmae_ft_in22k_in1k_512
    """,
}

_TORCHVISION: dict[ImageGeometry, str] = {
    ImageGeometry(224, 224 / 256, "bilinear"): """
        alexnet:IMAGENET1K_V1: vgg11:IMAGENET1K_V1: vgg13:IMAGENET1K_V1: vgg16:IMAGENET1K_V1:
        vgg19:IMAGENET1K_V1: vgg11_bn:IMAGENET1K_V1: vgg13_bn:IMAGENET1K_V1:
        vgg16_bn:IMAGENET1K_V1: vgg19_bn:IMAGENET1K_V1: googlenet:IMAGENET1K_V1:
        resnet18:IMAGENET1K_V1: resnet34:IMAGENET1K_V1: resnet50:IMAGENET1K_V1
        resnet101:IMAGENET1K_V1 resnet152:IMAGENET1K_V1 resnext50_32x4d:IMAGENET1K_V1
        resnext101_32x8d:IMAGENET1K_V1 wide_resnet50_2:IMAGENET1K_V1
        wide_resnet101_2:IMAGENET1K_V1 densenet121:IMAGENET1K_V1: densenet161:IMAGENET1K_V1:
        densenet169:IMAGENET1K_V1: densenet201:IMAGENET1K_V1: regnet_x_400mf:IMAGENET1K_V1
        regnet_x_800mf:IMAGENET1K_V1 regnet_x_1_6gf:IMAGENET1K_V1 regnet_x_3_2gf:IMAGENET1K_V1
        regnet_x_8gf:IMAGENET1K_V1 regnet_x_16gf:IMAGENET1K_V1 regnet_x_32gf:IMAGENET1K_V1
        regnet_y_400mf:IMAGENET1K_V1 regnet_y_800mf:IMAGENET1K_V1 regnet_y_1_6gf:IMAGENET1K_V1
        regnet_y_3_2gf:IMAGENET1K_V1 regnet_y_8gf:IMAGENET1K_V1 regnet_y_16gf:IMAGENET1K_V1
        regnet_y_32gf:IMAGENET1K_V1 squeezenet1_0:IMAGENET1K_V1: squeezenet1_1:IMAGENET1K_V1:
        shufflenet_v2_x0_5:IMAGENET1K_V1: shufflenet_v2_x1_0:IMAGENET1K_V1:
        mobilenet_v2:IMAGENET1K_V1 mobilenet_v3_small:IMAGENET1K_V1:
        mobilenet_v3_large:IMAGENET1K_V1 mnasnet0_5:IMAGENET1K_V1: mnasnet1_0:IMAGENET1K_V1:
        vit_b_16:IMAGENET1K_V1: vit_b_32:IMAGENET1K_V1: vit_l_32:IMAGENET1K_V1:
    """,
    ImageGeometry(299, 299 / 342, "bilinear"): """
        inception_v3:IMAGENET1K_V1:
    """,
    ImageGeometry(224, 224 / 232, "bilinear"): """
        resnet50:IMAGENET1K_V2: resnet101:IMAGENET1K_V2: resnet152:IMAGENET1K_V2:
        resnext50_32x4d:IMAGENET1K_V2: resnext101_32x8d:IMAGENET1K_V2:
        resnext101_64x4d:IMAGENET1K_V1: wide_resnet50_2:IMAGENET1K_V2:
        wide_resnet101_2:IMAGENET1K_V2: regnet_x_400mf:IMAGENET1K_V2:
        regnet_x_800mf:IMAGENET1K_V2: regnet_x_1_6gf:IMAGENET1K_V2:
        regnet_x_3_2gf:IMAGENET1K_V2: regnet_x_8gf:IMAGENET1K_V2: regnet_x_16gf:IMAGENET1K_V2:
        regnet_x_32gf:IMAGENET1K_V2: regnet_y_400mf:IMAGENET1K_V2: regnet_y_800mf:IMAGENET1K_V2:
        regnet_y_1_6gf:IMAGENET1K_V2: regnet_y_3_2gf:IMAGENET1K_V2: regnet_y_8gf:IMAGENET1K_V2:
        regnet_y_16gf:IMAGENET1K_V2: regnet_y_32gf:IMAGENET1K_V2: convnext_base:IMAGENET1K_V1:
        convnext_large:IMAGENET1K_V1: shufflenet_v2_x1_5:IMAGENET1K_V1:
        shufflenet_v2_x2_0:IMAGENET1K_V1: mobilenet_v2:IMAGENET1K_V2:
        mobilenet_v3_large:IMAGENET1K_V2: mnasnet0_75:IMAGENET1K_V1: mnasnet1_3:IMAGENET1K_V1:
    """,
    ImageGeometry(224, 1.0, "bicubic"): """
        maxvit_t:IMAGENET1K_V1: regnet_y_16gf:IMAGENET1K_SWAG_LINEAR_V1
        regnet_y_32gf:IMAGENET1K_SWAG_LINEAR_V1
        regnet_y_128gf:IMAGENET1K_SWAG_LINEAR_V1 vit_b_16:IMAGENET1K_SWAG_LINEAR_V1
        vit_l_16:IMAGENET1K_SWAG_LINEAR_V1 vit_h_14:IMAGENET1K_SWAG_LINEAR_V1
    """,
    ImageGeometry(384, 1.0, "bicubic"): """
        regnet_y_16gf:IMAGENET1K_SWAG_E2E_V1 regnet_y_32gf:IMAGENET1K_SWAG_E2E_V1
        regnet_y_128gf:IMAGENET1K_SWAG_E2E_V1: vit_b_16:IMAGENET1K_SWAG_E2E_V1
    """,
    ImageGeometry(224, 224 / 236, "bilinear"): """
        convnext_tiny:IMAGENET1K_V1:
    """,
    ImageGeometry(224, 224 / 230, "bilinear"): """
        convnext_small:IMAGENET1K_V1:
    """,
    ImageGeometry(224, 224 / 256, "bicubic"): """
        efficientnet_b0:IMAGENET1K_V1:
    """,
    ImageGeometry(240, 240 / 256, "bicubic"): """
        efficientnet_b1:IMAGENET1K_V1
    """,
    ImageGeometry(240, 240 / 255, "bilinear"): """
        efficientnet_b1:IMAGENET1K_V2:
    """,
    ImageGeometry(288, 1.0, "bicubic"): """
        efficientnet_b2:IMAGENET1K_V1:
    """,
    ImageGeometry(300, 300 / 320, "bicubic"): """
        efficientnet_b3:IMAGENET1K_V1:
    """,
    ImageGeometry(380, 380 / 384, "bicubic"): """
        efficientnet_b4:IMAGENET1K_V1:
    """,
    ImageGeometry(456, 1.0, "bicubic"): """
        efficientnet_b5:IMAGENET1K_V1:
    """,
    ImageGeometry(528, 1.0, "bicubic"): """
        efficientnet_b6:IMAGENET1K_V1:
    """,
    ImageGeometry(600, 1.0, "bicubic"): """
        efficientnet_b7:IMAGENET1K_V1:
    """,
    ImageGeometry(384, 1.0, "bilinear"): """
        efficientnet_v2_s:IMAGENET1K_V1:
    """,
    ImageGeometry(480, 1.0, "bilinear"): """
        efficientnet_v2_m:IMAGENET1K_V1:
    """,
    ImageGeometry(480, 1.0, "bicubic"): """
        efficientnet_v2_l:IMAGENET1K_V1:
    """,
    ImageGeometry(512, 1.0, "bicubic"): """
        vit_l_16:IMAGENET1K_SWAG_E2E_V1
    """,
    ImageGeometry(224, 224 / 242, "bilinear"): """
        vit_l_16:IMAGENET1K_V1:
    """,
    ImageGeometry(518, 1.0, "bicubic"): """
        vit_h_14:IMAGENET1K_SWAG_E2E_V1:
    """,
    ImageGeometry(224, 224 / 232, "bicubic"): """
        swin_t:IMAGENET1K_V1:
    """,
    ImageGeometry(224, 224 / 246, "bicubic"): """
        swin_s:IMAGENET1K_V1:
    """,
    ImageGeometry(224, 224 / 238, "bicubic"): """
        swin_b:IMAGENET1K_V1:
    """,
    ImageGeometry(256, 256 / 260, "bicubic"): """
        swin_v2_t:IMAGENET1K_V1: swin_v2_s:IMAGENET1K_V1:
    """,
    ImageGeometry(256, 256 / 272, "bicubic"): """
        swin_v2_b:IMAGENET1K_V1:
    """,
}
