"""The networks of other libraries that ours are equal to: names, options, weights on offer."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from cnnlab.errors import UserError, did_you_mean
from cnnlab.models import list_models
from cnnlab.pretrained.names import (
    alexnet,
    convnext,
    densenet,
    googlenet,
    mobile,
    regnet,
    resnet,
    vgg,
)
from cnnlab.pretrained.names.rules import Naming
from cnnlab.pretrained.options import encoder_name
from cnnlab.pretrained.peer import Peer
from cnnlab.pretrained.segmenter_peers import SEGMENTERS

# `smp` is segmentation_models_pytorch, as its users import it.
LIBRARIES = ("torchvision", "timm", "smp")

_TF = {"padding": "SAME", "norm_epsilon": 1e-3}
_TIMM_V3 = {"norm_epsilon": 1e-5}


def _torchvision(naming: Naming, files: Mapping[str, Sequence[str]], **more: Any) -> list[Peer]:
    more = {"namings": (naming,), **more}
    return [Peer("torchvision", name, name, {}, weights=w, **more) for name, w in files.items()]


def _timm(naming: Naming, rows: Sequence[tuple]) -> list[Peer]:
    """Rows: name there, our name, default tag ("" where there are no weights), options."""
    peers = []
    for name, architecture, tag, *rest in rows:
        options, tags = rest[0] if rest else {}, (tag,) if tag else ()
        peers.append(Peer("timm", name, architecture, options, (naming,), tags))
    return peers


PEERS: tuple[Peer, ...] = (
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
        googlenet.torchvision, {"googlenet": ("googlenet-1378be20",)}, optional=googlenet.OPTIONAL
    ),
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
        "regnet_y_400mf": ("regnet_y_400mf-c65dace8", "regnet_y_400mf-e6988f5f"),
        "regnet_y_800mf": ("regnet_y_800mf-1b27b58c", "regnet_y_800mf-58fc7688"),
        "regnet_y_1_6gf": ("regnet_y_1_6gf-b11a554e", "regnet_y_1_6gf-0d7bc02a"),
        "regnet_y_3_2gf": ("regnet_y_3_2gf-b5a9779c", "regnet_y_3_2gf-9180c971"),
        "regnet_y_8gf": ("regnet_y_8gf-d0d0e4a8", "regnet_y_8gf-dc2b1b54"),
    }),
    *_timm(regnet.timm, [
        ("regnety_004", "regnet_y_400mf", "tv2_in1k"),
        ("regnety_008", "regnet_y_800mf", "pycls_in1k", {"widths": (64, 128, 320, 768)}),
        ("regnety_008_tv", "regnet_y_800mf", "tv2_in1k"),
        ("regnety_016", "regnet_y_1_6gf", "tv2_in1k"),
        ("regnety_032", "regnet_y_3_2gf", "ra_in1k"),
        ("regnety_080", "regnet_y_8gf", "ra3_in1k", {"widths": (168, 448, 896, 2016)}),
        ("regnety_080_tv", "regnet_y_8gf", "tv2_in1k"),
    ]),
    *_torchvision(convnext.torchvision, {
        "convnext_tiny": ("convnext_tiny-983f1562",),
        "convnext_small": ("convnext_small-0c510722",),
        "convnext_base": ("convnext_base-6075fbad",),
    }),
    *_timm(convnext.timm, [
        ("convnext_tiny", "convnext_tiny", "in12k_ft_in1k"),
        ("convnext_small", "convnext_small", "in12k_ft_in1k"),
        ("convnext_base", "convnext_base", "fb_in22k_ft_in1k"),
    ]),
    *_torchvision(
        mobile.torchvision_v2,
        {"mobilenet_v2": ("mobilenet_v2-b0353104", "mobilenet_v2-7ebf99e0")},
    ),
    *_timm(mobile.timm_v2, [("mobilenetv2_100", "mobilenet_v2", "ra_in1k")]),
    *_torchvision(mobile.torchvision_v3, {
        "mobilenet_v3_small": ("mobilenet_v3_small-047dcff4",),
        "mobilenet_v3_large": ("mobilenet_v3_large-8738ca79", "mobilenet_v3_large-5c1a4163"),
    }),
    *_timm(mobile.timm_v3, [
        ("mobilenetv3_small_100", "mobilenet_v3_small", "lamb_in1k", _TIMM_V3),
        ("mobilenetv3_large_100", "mobilenet_v3_large", "ra_in1k", _TIMM_V3),
    ]),
    *_torchvision(mobile.torchvision_efficientnet, {
        "efficientnet_b0": ("efficientnet_b0_rwightman-7f5810bc",),
        "efficientnet_b1": ("efficientnet_b1_rwightman-bac287d4", "efficientnet_b1-c27df63c"),
        "efficientnet_b2": ("efficientnet_b2_rwightman-c35c1473",),
        "efficientnet_b3": ("efficientnet_b3_rwightman-b3899882",),
    }),
    *_timm(mobile.timm_efficientnet, [
        ("efficientnet_b0", "efficientnet_b0", "ra_in1k"),
        ("efficientnet_b1", "efficientnet_b1", "ra4_e3600_r240_in1k"),
        ("efficientnet_b2", "efficientnet_b2", "ra_in1k"),
        ("efficientnet_b3", "efficientnet_b3", "ra2_in1k"),
        ("tf_efficientnet_b0", "efficientnet_b0", "ns_jft_in1k", _TF),
        ("tf_efficientnet_b1", "efficientnet_b1", "ns_jft_in1k", _TF),
        ("tf_efficientnet_b2", "efficientnet_b2", "ns_jft_in1k", _TF),
        ("tf_efficientnet_b3", "efficientnet_b3", "ns_jft_in1k", _TF),
        ("tf_efficientnet_lite0", "tf_efficientnet_lite0", "in1k"),
    ]),
    Peer("efficientnet_pytorch", "efficientnet-lite0", "tf_efficientnet_lite0", {},
         (mobile.efficientnet_pytorch,)),
    *SEGMENTERS,
)  # fmt: skip

# Architectures that none of the libraries has; a pattern, and why.
WITHOUT_PEER = {
    "mlp|lenet.*": "for digits; both are for ImageNet",
    "alexnet_2012|googlenet_v1": "as in the paper; theirs is another network",
    "nin(_cifar)?": "neither library has it",
    ".*_d2l": "as in the book d2l.ai; theirs is another network",
    r"resnet(9|20|32|44|56|110)|densenet_bc_.*|wrn_.*": "for CIFAR; both are for ImageNet",
    "fcn(32|16|8)s": "as in the paper; torchvision's `fcn` dilates a ResNet instead",
    r"(?!encoder_)\w*(unet|u2net|unext|vnet|uctransnet)\w*|missformer": "no library has it",
}  # fmt: skip


def peers_of(architecture: str, library: str | None = None) -> list[Peer]:
    """The networks equal to one of ours, in one library or in all; raises for an unknown name."""
    if architecture not in list_models():
        hint = did_you_mean(architecture, list_models())
        raise UserError(f"Unknown model '{architecture}'.{hint}")
    return [
        peer
        for peer in PEERS
        if peer.architecture == architecture and library in (None, peer.library)
    ]


def peers_with_encoder(peers: Sequence[Peer], options: Mapping[str, Any]) -> list[Peer]:
    """Those of one architecture's peers that have the encoder that `options` say; else all."""
    encoder = encoder_name(peers[0].architecture, options) if peers else None
    return [peer for peer in peers if encoder in (None, peer.options.get("encoder"))]


def find_peer(library: str, name: str) -> Peer:
    """The peer called `name` in `library`; the error names the nearest of those known."""
    known = {peer.name: peer for peer in PEERS if peer.library == library}
    if name not in known:
        raise UserError(
            f"'{library}/{name}' is none of the networks whose weights can be "
            f"loaded.{did_you_mean(name, known)}"
        )
    return known[name]


def why_no_peer(architecture: str) -> str | None:
    """The reason why an architecture has no peer; None where none is known."""
    reasons = (why for pattern, why in WITHOUT_PEER.items() if re.fullmatch(pattern, architecture))
    return next(reasons, None)
