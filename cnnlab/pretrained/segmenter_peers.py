"""The reference models of segmentation networks.

segmentation_models_pytorch has every architecture on every encoder. Names are the
architecture and the encoder of `smp.create_model`, joined by a dash.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from cnnlab.pretrained.key_maps import densenet, mobile, resnet, transformers, vgg
from cnnlab.pretrained.key_maps import segmenters as names
from cnnlab.pretrained.key_maps.rules import KeyMap
from cnnlab.pretrained.peer import Argument, ReferenceModel
from cnnlab.pretrained.timm_encoders import Encoder, timm_encoders, why_different

_AUX = {"aux": Argument("aux_loss")}
_TORCHVISION = tuple(
    ReferenceModel(
        "torchvision",
        f"{name}_{encoder}",
        name,
        {"encoder": encoder},
        (names.on_encoder(resnet.v1, "backbone.", decoder),),
        (f"{name}_{encoder}_coco-{digest}",),
        optional=r"aux_classifier\..*",
        arguments=_AUX,
    )
    for name, encoder, decoder, digest in (
        ("fcn", "resnet50", names.torchvision_fcn, "1167a1af"),
        ("fcn", "resnet101", names.torchvision_fcn, "7ecb50ca"),
        ("deeplabv3", "resnet50", names.torchvision_deeplabv3, "cd0a2569"),
        ("deeplabv3", "resnet101", names.torchvision_deeplabv3, "586e9e4e"),
    )
)
_MOBILE = tuple(
    ReferenceModel(
        "torchvision",
        f"{name}_mobilenet_v3_large",
        name,
        {"encoder": "mobilenet_v3_large", **options},
        (
            names.on_encoder(
                names.without_root(mobile.torchvision_v3, "features."), "backbone.", decoder
            ),
        ),
        (f"{name}_mobilenet_v3_large-{digest}",),
        optional=optional,
    )
    for name, options, decoder, digest, optional in (
        (
            "deeplabv3",
            {"output_stride": 16, "dilate_first": True},
            names.torchvision_deeplabv3_without_aux,
            "fc3c493d",
            r"aux_classifier\..*",
        ),
        ("lraspp", {}, names.torchvision_lraspp, "d234d4ea", None),
    )
)


# Width, depth, and the image size in pixels for which EfficientNet-PyTorch computes its padding.
_EFFICIENTNETS = {
    "b0": (1.0, 1.0, 224),
    "b1": (1.0, 1.1, 240),
    "b2": (1.1, 1.2, 260),
    "b3": (1.2, 1.4, 300),
    "b4": (1.4, 1.8, 380),
    "b5": (1.6, 2.2, 456),
    "b6": (1.8, 2.6, 528),
    "b7": (2.0, 3.1, 600),
}
_STEM_MAP = {"level_maps": "stem"}
_TIMM_EFFICIENTNETS = {
    f"timm-efficientnet-{size}": Encoder(
        f"efficientnet_{size if size in _EFFICIENTNETS else 'b7'}",
        mobile.timm_efficientnet,
        dilates=False,
        options=_STEM_MAP | {"width": width, "depth": depth, "norm_epsilon": 1e-5},
    )
    for size, (width, depth, *_) in (_EFFICIENTNETS | {"b8": (2.2, 3.6), "l2": (4.3, 5.3)}).items()
}
_TIMM_LITES = {
    f"timm-tf_efficientnet_lite{number}": Encoder(
        "tf_efficientnet_lite0",
        mobile.timm_efficientnet,
        dilates=False,
        options=_STEM_MAP
        | {"width": width, "depth": depth, "norm_epsilon": 1e-5, "padding": "torch"},
    )
    for number, (width, depth, _) in enumerate(list(_EFFICIENTNETS.values())[:5])
}
_CAFFE = {"ceil_pool": True}

_ENCODERS = {
    **{
        name: Encoder(name, resnet.v1)
        for name in (
            "resnet18",
            "resnet34",
            "resnet50",
            "resnet101",
            "resnet152",
            "resnext50_32x4d",
            "resnext101_32x8d",
        )
    },
    **{
        f"vgg{depth}{norm}": Encoder(f"vgg{depth}{norm}", vgg.torchvision, dilates=False)
        for depth in (11, 13, 16, 19)
        for norm in ("", "_bn")
    },
    **{
        f"resnext101_32x{width}d": Encoder(
            "resnext101_32x8d", resnet.v1, options={"group_width": width}
        )
        for width in (4, 16, 32, 48)
    },
    **{
        f"se_resnet{depth}": Encoder(
            f"seresnet{depth}", resnet.senet, options=_CAFFE | {"stride_on": "1x1"}
        )
        for depth in (50, 101, 152)
    },
    **{
        f"se_resnext{depth}_32x4d": Encoder(
            "seresnext50_32x4d", resnet.senet, options=_CAFFE | {"stage_sizes": (3, 4, third, 3)}
        )
        for depth, third in ((50, 6), (101, 23))
    },
    **{
        name: Encoder(name, densenet.today, dilates=False, options={"final_activation": False})
        for name in ("densenet121", "densenet161", "densenet169", "densenet201")
    },
    **{
        f"efficientnet-{size}": Encoder(
            f"efficientnet_{size}",
            mobile.efficientnet_pytorch,
            dilates=False,
            options=_STEM_MAP | {"padding": pixels, "norm_epsilon": 1e-3},
        )
        for size, (*_, pixels) in _EFFICIENTNETS.items()
        if size != "b0"  # there a block in the middle of a stage gives the map of stride 16
    },
    **_TIMM_EFFICIENTNETS,
    **_TIMM_LITES,
    **{
        f"mit_b{size}": Encoder(f"mit_b{size}", transformers.mit_smp, dilates=False, halved=False)
        for size in range(6)
    },
    "mobilenet_v2": Encoder("mobilenet_v2", mobile.torchvision_v2),
}


class _Decoder(NamedTuple):
    """An architecture of segmentation_models_pytorch.

    Attributes:
      name: our name of the architecture.
      naming: key map of its decoder's tensors.
      options: our options with which both networks compute the same function.
      arguments: our options that may differ from their defaults, and the arguments there.
      dilates: whether it needs an encoder that dilates.
      halved: whether it needs an encoder with a map of half the image's size.
      exact: whether each map must have exactly half the size of the finer one.
    """

    name: str
    naming: KeyMap
    options: Mapping[str, Any] = {}
    arguments: Mapping[str, Argument] = {}
    dilates: bool = False
    halved: bool = False
    exact: bool = True


_WIDTHS = {"widths": Argument("decoder_channels")}
_ATTENTION = {"attention": Argument("decoder_attention_type")}
_DEEPLAB = {
    "width": Argument("decoder_channels"),
    "rates": Argument("decoder_atrous_rates"),
    "output_stride": Argument("encoder_output_stride", (8, 16)),
}
_DECODERS = {
    "unet": _Decoder(
        "encoder_unet",
        names.smp_unet,
        arguments=_WIDTHS | _ATTENTION,
        halved=True,
        exact=False,
    ),
    "unetplusplus": _Decoder(
        "encoder_unetplusplus",
        names.smp_unetplusplus,
        arguments=_WIDTHS | _ATTENTION,
        halved=True,
    ),
    "linknet": _Decoder("linknet", names.smp_linknet, halved=True),
    "manet": _Decoder(
        "manet",
        names.smp_manet,
        arguments=_WIDTHS | {"attention_width": Argument("decoder_pab_channels")},
        halved=True,
    ),
    "fpn": _Decoder(
        "fpn",
        names.smp_fpn,
        arguments={
            "pyramid_width": Argument("decoder_pyramid_channels"),
            "width": Argument("decoder_segmentation_channels"),
        },
    ),
    "pspnet": _Decoder(
        "pspnet",
        names.smp_pspnet,
        options={"dilate": False},
        arguments={"width": Argument("psp_out_channels")},
    ),
    "deeplabv3": _Decoder(
        "deeplabv3",
        names.smp_deeplabv3,
        options={"align_corners": True},
        arguments=_DEEPLAB,
        dilates=True,
    ),
    "deeplabv3plus": _Decoder(
        "deeplabv3plus", names.smp_deeplabv3plus, arguments=_DEEPLAB, dilates=True
    ),
    "pan": _Decoder(
        "pan",
        names.smp_pan,
        arguments={
            "width": Argument("decoder_channels"),
            "output_stride": Argument("encoder_output_stride", (16, 32)),
        },
        dilates=True,
    ),
    "upernet": _Decoder(
        "upernet", names.smp_upernet, arguments={"width": Argument("decoder_channels")}
    ),
    "segformer": _Decoder(
        "segformer",
        names.smp_segformer,
        arguments={"width": Argument("decoder_segmentation_channels")},
        exact=False,
    ),
}


def _smp(decoder_name: str, encoder_name: str, encoder: Encoder) -> ReferenceModel:
    decoder = _DECODERS[decoder_name]
    options = {"encoder": encoder.name, **decoder.options}
    if encoder.options:
        options["encoder_options"] = dict(encoder.options)
    if decoder.dilates:
        options["dilate_first"] = not encoder.tu
    prefix = "encoder.model." if encoder.tu else "encoder."
    return ReferenceModel(
        "smp",
        f"{decoder_name}-{encoder_name}",
        decoder.name,
        options,
        (names.on_encoder(encoder.naming, prefix, decoder.naming),),
        arguments=decoder.arguments,
    )


def _why_not(decoder_name: str, encoder: Encoder) -> str | None:
    """Why an architecture on an encoder there is none of our networks; None if it is one."""
    decoder = _DECODERS[decoder_name]
    if decoder_name == "pspnet" and encoder.tu:
        return "pspnet drops the last stages of timm's networks there, and their weights with them"
    if decoder.dilates and not encoder.dilates:
        return f"{decoder_name} dilates its encoder, which this one cannot do alike in both"
    if decoder.halved and not encoder.halved:
        return f"{decoder_name} needs a map of half the image's size, which this encoder has not"
    # There, all but one raise an error of PyTorch's about the sizes, and UPerNet's logits are
    # smaller than the image.
    if decoder.exact and not encoder.padded:
        return (
            f"{decoder_name} takes maps to halve exactly there, and this encoder has convolutions "
            "without padding"
        )
    return None


# DPT reads the blocks of timm's ViTs, which no other architecture of that library can. Its encoder
# has timm's classifier, which takes part in nothing; made with num_classes=0, it has none.
_DPT = tuple(
    ReferenceModel(
        "smp",
        f"dpt-tu-{theirs}",
        "dpt",
        {"encoder": name},
        (names.on_encoder(transformers.vit_timm, "encoder.model.", names.smp_dpt),),
        optional=r"encoder\.model\.head\..*",
        arguments={
            "widths": Argument("decoder_intermediate_channels"),
            "width": Argument("decoder_fusion_channels"),
        },
    )
    for theirs, name in (
        ("vit_tiny_patch16_224", "vit_ti_16"),
        ("vit_small_patch16_224", "vit_s_16"),
        ("vit_base_patch16_224", "vit_b_16"),
        ("vit_base_patch32_224", "vit_b_32"),
        ("vit_large_patch16_224", "vit_l_16"),
        ("vit_large_patch32_224", "vit_l_32"),
    )
)


def segmenters(classifiers: Sequence[ReferenceModel]) -> tuple[ReferenceModel, ...]:
    """Returns the reference models of segmentation networks.

    Args:
      classifiers: those of classifiers, which are encoders in segmentation_models_pytorch too.
    """
    encoders = _ENCODERS | timm_encoders(classifiers)
    return (
        *_TORCHVISION,
        *_MOBILE,
        *_DPT,
        *(
            _smp(decoder, name, encoder)
            for decoder in _DECODERS
            for name, encoder in encoders.items()
            if _why_not(decoder, encoder) is None
        ),
    )


def why_no_segmenter(name: str, classifiers: Sequence[ReferenceModel]) -> str | None:
    """Returns why a network of segmentation_models_pytorch is none of ours; None if not known.

    Args:
      name: architecture and encoder, joined by a dash.
      classifiers: those of classifiers.
    """
    decoder, _, encoder = name.partition("-")
    encoders = _ENCODERS | timm_encoders(classifiers)
    if decoder not in _DECODERS:
        return None
    if encoder in encoders:
        return _why_not(decoder, encoders[encoder])
    return why_different(encoder, classifiers)
