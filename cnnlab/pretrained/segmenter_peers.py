"""Segmentation networks of other libraries that ours are equal to.

segmentation_models_pytorch has every architecture on every encoder. Its names are those that
`smp.create_model` takes, of the architecture and of the encoder, with a dash between them.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from cnnlab.pretrained.names import mobile, regnet, resnet, vgg
from cnnlab.pretrained.names import segmenters as names
from cnnlab.pretrained.names.rules import Naming
from cnnlab.pretrained.peer import Argument, Peer

_AUX = {"aux": Argument("aux_loss")}
_TORCHVISION = tuple(
    Peer(
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


class _Encoder(NamedTuple):
    """An encoder of segmentation_models_pytorch whose maps are those of one of our classifiers.

    Attributes:
      name: ours.
      naming: of its tensors there, but for a prefix.
      tu: whether that library makes it with timm's code, which dilates as torchvision does.
      dilates: whether it can do so there and here.
    """

    name: str
    naming: Naming
    tu: bool = False
    dilates: bool = True


_ENCODERS = {
    **{
        name: _Encoder(name, resnet.v1)
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
        f"vgg{depth}{norm}": _Encoder(f"vgg{depth}{norm}", vgg.torchvision, dilates=False)
        for depth in (11, 13, 16, 19)
        for norm in ("", "_bn")
    },
    "mobilenet_v2": _Encoder("mobilenet_v2", mobile.torchvision_v2),
    **{
        f"tu-{name}": _Encoder(name, resnet.v1, tu=True)
        for name in (
            "wide_resnet50_2",
            "wide_resnet101_2",
            "resnext101_64x4d",
            "seresnet18",
            "seresnet34",
            "seresnet50",
            "seresnet101",
            "seresnet152",
            "seresnext50_32x4d",
        )
    },
    **{
        f"tu-{theirs}": _Encoder(name, regnet.timm, tu=True, dilates=False)
        for theirs, name in (
            ("regnety_004", "regnet_y_400mf"),
            ("regnety_008_tv", "regnet_y_800mf"),
            ("regnety_016", "regnet_y_1_6gf"),
            ("regnety_032", "regnet_y_3_2gf"),
            ("regnety_080_tv", "regnet_y_8gf"),
        )
    },
}


class _Decoder(NamedTuple):
    """An architecture of segmentation_models_pytorch.

    Attributes:
      name: ours.
      naming: of its decoder's tensors.
      options: of ours, that make it the same function.
      arguments: see `Peer`.
      dilates: whether it wants an encoder that dilates.
    """

    name: str
    naming: Naming
    options: Mapping[str, Any] = {}
    arguments: Mapping[str, Argument] = {}
    dilates: bool = False


_WIDTHS = {"widths": Argument("decoder_channels")}
_ATTENTION = {"attention": Argument("decoder_attention_type")}
_DEEPLAB = {
    "width": Argument("decoder_channels"),
    "rates": Argument("decoder_atrous_rates"),
    "output_stride": Argument("encoder_output_stride", (8, 16)),
}
_DECODERS = {
    "unet": _Decoder("encoder_unet", names.smp_unet, arguments=_WIDTHS | _ATTENTION),
    "unetplusplus": _Decoder(
        "encoder_unetplusplus", names.smp_unetplusplus, arguments=_WIDTHS | _ATTENTION
    ),
    "linknet": _Decoder("linknet", names.smp_linknet),
    "manet": _Decoder(
        "manet",
        names.smp_manet,
        arguments=_WIDTHS | {"attention_width": Argument("decoder_pab_channels")},
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
}


def _smp(decoder_name: str, encoder_name: str) -> Peer:
    decoder, encoder = _DECODERS[decoder_name], _ENCODERS[encoder_name]
    options = {"encoder": encoder.name, **decoder.options}
    if decoder.dilates:
        options["dilate_first"] = not encoder.tu
    prefix = "encoder.model." if encoder.tu else "encoder."
    return Peer(
        "smp",
        f"{decoder_name}-{encoder_name}",
        decoder.name,
        options,
        (names.on_encoder(encoder.naming, prefix, decoder.naming),),
        arguments=decoder.arguments,
    )


def _agrees(decoder_name: str, encoder_name: str) -> bool:
    encoder = _ENCODERS[encoder_name]
    # PSPNet cuts the encoder off, and there are no weights of the rest where timm's code does it.
    cut_off = decoder_name == "pspnet" and encoder.tu
    return not cut_off and (encoder.dilates or not _DECODERS[decoder_name].dilates)


SEGMENTERS: tuple[Peer, ...] = (
    *_TORCHVISION,
    *(_smp(d, e) for d in _DECODERS for e in _ENCODERS if _agrees(d, e)),
)
