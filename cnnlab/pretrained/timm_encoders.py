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
    """

    name: str
    naming: KeyMap
    tu: bool = False
    dilates: bool = True
    options: Mapping[str, Any] = {}
    halved: bool = True


class _Family(NamedTuple):
    """How timm gives the maps of a family.

    Attributes:
      flat: whether the first two parts of names are joined, as in `stages_0.blocks.1`.
      root: what stands before all names.
      dilates: whether it can dilate in both libraries.
      options: our options with which the maps are equal.
      halved: see `Encoder`.
    """

    flat: bool = False
    root: str = ""
    dilates: bool = False
    options: Mapping[str, Any] = {}
    halved: bool = True


# Families of ours whose maps are timm's too. Those of the others differ: the last one of MobileNets
# and EfficientNets is after one more convolution, and that of Swin after a norm.
_FAMILIES = {
    "inception_v3": _Family(),
    "inception_v4": _Family(flat=True),
    "inception_resnet_v2": _Family(),
    "xception": _Family(root="body."),
    "xception_aligned": _Family(flat=True, dilates=True, options={"final_activation": False}),
    "resnet": _Family(),
    "res2net": _Family(),
    "resnest": _Family(),
    "densenet": _Family(flat=True, options={"final_activation": False}),
    "regnet": _Family(),
    "convnext": _Family(flat=True, halved=False),
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
                _of_maps(naming, flat=family.flat, root=family.root),
                tu=True,
                # Shortcuts that average dilate in another way there.
                dilates=family.dilates or naming is resnet.v1,
                options=options | family.options,
                halved=family.halved,
            )
    return encoders


def _of_maps(naming: KeyMap, *, flat: bool, root: str) -> KeyMap:
    def inner(layers: Sequence[str]) -> dict[str, TensorSpec]:
        return {
            layer: dataclasses.replace(
                place, name=root + (place.name.replace(".", "_", 1) if flat else place.name)
            )
            for layer, place in naming(layers).items()
        }

    return inner
