"""timm's classifiers as encoders of segmentation_models_pytorch, which calls them `tu-NAME`.

Such an encoder has the tensors of the classifier up to its last map, under timm's names of networks
that give maps (`features_only=True`).
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from cnnlab.models.catalog import model_family
from cnnlab.pretrained.key_maps import resnet
from cnnlab.pretrained.key_maps.rules import KeyMap, TensorSpec
from cnnlab.pretrained.peer import ReferenceModel


class Encoder(NamedTuple):
    """An encoder of segmentation_models_pytorch whose maps equal those of one of our classifiers.

    Attributes:
      name: our name of the classifier.
      naming: key map of its tensors there, without the prefix.
      tu: whether that library uses timm's code, which dilates like torchvision's.
      dilates: whether it can dilate in both libraries.
      options: our options of the classifier with which its maps are equal.
      halved: whether there is a map of half the image's size; where there is none, that library
        gives decoders an empty one.
      padded: whether each map has exactly half the size of the finer one.
    """

    name: str
    naming: KeyMap
    tu: bool = False
    dilates: bool = True
    options: Mapping[str, Any] = {}
    halved: bool = True
    padded: bool = True


class _Family(NamedTuple):
    """How timm gives the maps of a family.

    Attributes:
      joined: first parts of names that are joined to the second, as in `stages_0.blocks.1`.
      root: what stands before all names.
      dilates: whether it can dilate in both libraries.
      options: our options with which the maps are equal.
      halved: see `Encoder`.
      padded: see `Encoder`.
    """

    joined: Sequence[str] = ()
    root: str = ""
    dilates: bool = False
    options: Mapping[str, Any] = {}
    halved: bool = True
    padded: bool = True


_FAMILIES = {
    "vgg": _Family(("features",)),
    "inception_v3": _Family(padded=False),
    "inception_v4": _Family(("features",), padded=False),
    "inception_resnet_v2": _Family(padded=False),
    "xception": _Family(root="body.", padded=False),
    "xception_aligned": _Family(
        ("stem", "blocks"), dilates=True, options={"final_activation": False}
    ),
    "resnet": _Family(dilates=True),
    "res2net": _Family(),
    "resnest": _Family(),
    "regnet": _Family(),
    "dla": _Family(),
    "hrnet": _Family(),
    "repvgg": _Family(("stages",)),
    "convnext": _Family(("stem", "stages"), halved=False),
    "mobilenet_v1": _Family(options={"last_channels": 0}),
    "mobilenet_v3": _Family(),
    "mobilenet_v4": _Family(),
    "edgenext": _Family(("stem", "stages"), halved=False),
    **dict.fromkeys(
        ("efficientnet", "efficientnet_v2", "mnasnet", "mobilenet_v2"),
        _Family(options={"level_maps": "blocks"}),
    ),
}
# Why the maps of a family differ, to stand after the name of a network.
_DIFFERENT = {
    "densenet": (
        "its maps of strides 4, 8 and 16 there are neither normalised nor activated, and here they "
        "are both"
    ),
    "ghostnet": "its maps of strides 2 and 16 are taken from other layers there",
    "resnet_v2": "its coarsest map there is neither normalised nor activated, and here it is both",
    "swin": "its coarsest map there is not normalised, and here it is",
    "vit": "a vision transformer has no maps of several strides; only dpt reads it",
}
# Options of the classifier's head.
_OF_HEADS = {"aux"}


def timm_encoders(classifiers: Iterable[ReferenceModel]) -> dict[str, Encoder]:
    """Returns the encoders by their names in segmentation_models_pytorch.

    Args:
      classifiers: the reference models of classifiers, of which timm's are taken.
    """
    encoders = {}
    for peer in classifiers:
        family = _FAMILIES.get(model_family(peer.architecture))
        if str(peer) == f"timm/{peer.name}" and family is not None:
            options = {k: v for k, v in peer.options.items() if k not in _OF_HEADS}
            naming = peer.namings[0]
            encoders[f"tu-{peer.name}"] = Encoder(
                peer.architecture,
                _of_maps(naming, family),
                tu=True,
                # Shortcuts that average dilate in another way there.
                dilates=family.dilates and naming is not resnet.v1_pooled,
                options=options | family.options,
                halved=family.halved,
                padded=family.padded,
            )
    return encoders


def why_different(encoder: str, classifiers: Iterable[ReferenceModel]) -> str | None:
    """Returns the reason why a `tu-NAME` has other maps than our network; None if none is known.

    Args:
      encoder: name of the encoder in segmentation_models_pytorch.
      classifiers: the reference models of classifiers.
    """
    for peer in classifiers:
        if str(peer) == encoder.replace("tu-", "timm/", 1):
            return _DIFFERENT.get(model_family(peer.architecture))
    return None


def _of_maps(naming: KeyMap, family: _Family) -> KeyMap:
    def inner(layers: Sequence[str]) -> dict[str, TensorSpec]:
        places = {}
        for layer, place in naming(layers).items():
            joined = place.name.partition(".")[0] in family.joined
            name = place.name.replace(".", "_", 1) if joined else place.name
            places[layer] = dataclasses.replace(place, name=family.root + name)
        return places

    return inner
