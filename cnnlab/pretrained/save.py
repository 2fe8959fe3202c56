"""Writes a network's weights under the names of torchvision, timm or smp."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from flax.traverse_util import flatten_dict

from cnnlab.errors import UserError, did_you_mean
from cnnlab.pretrained import files
from cnnlab.pretrained.arguments import arguments_of, call_of, misfits
from cnnlab.pretrained.convert import PyTree, named_tensors, state_dict
from cnnlab.pretrained.options import encoder_name
from cnnlab.pretrained.peer import Peer
from cnnlab.pretrained.peers import LIBRARIES, peers_of, peers_with_encoder, why_no_peer


class Saved(NamedTuple):
    """What a file of weights is for.

    Attributes:
      peer: the other library's network.
      num_classes: channels of its logits.
      arguments: further ones that it is made with there.
    """

    peer: Peer
    num_classes: int
    arguments: Mapping[str, Any]

    def call(self, channels: int = 3) -> str:
        """The Python expression that makes it there, for images of that many channels."""
        return call_of(self.peer, self.arguments, num_classes=self.num_classes, channels=channels)


def save(
    path: str | os.PathLike,
    variables: PyTree,
    name: str,
    *,
    naming: str = "torchvision",
    metadata: Mapping[str, str] | None = None,
    **options: Any,
) -> Saved:
    """Writes a safetensors file that the other library's network loads with `strict=True`.

    >>> save("model.safetensors", variables, "resnet18", naming="timm")
    >>> # there: timm.create_model("resnet18", num_classes=10).load_state_dict(..., strict=True)

    Args:
      path: of the file, which ends in .safetensors.
      variables: of the network, as `model.init` returns them.
      name: of the architecture.
      naming: `torchvision`, `timm` or `smp` (segmentation_models_pytorch).
      metadata: further texts for the file's header, which holds `architecture`, the network there,
        its `arguments` as JSON, and `num_classes`.
      **options: as they were given to `create_model`.

    Raises:
      UserError: the library has no such network, or options make this one another function.
    """
    if naming not in LIBRARIES:
        raise UserError(f"Unknown naming '{naming}'.{did_you_mean(naming, LIBRARIES)}")
    peer = _equal_peer(name, naming, options)
    tensors = named_tensors(variables, peer.namings[0])
    classes = flatten_dict(variables)["params", "head", "logits", "bias"].shape[0]
    arguments = arguments_of(peer, name, options)
    header = {"format": "pt", "architecture": str(peer), "num_classes": str(classes)}
    if arguments:
        header["arguments"] = json.dumps(arguments)
    files.write(Path(path), state_dict(variables, tensors), {**header, **(metadata or {})})
    return Saved(peer, classes, arguments)


def _equal_peer(name: str, library: str, options: Mapping[str, Any]) -> Peer:
    peers = peers_of(name, library)
    if not peers:
        others = {peer.library for peer in peers_of(name)} & set(LIBRARIES)
        why = f"use naming={' or '.join(sorted(others))}" if others else why_no_peer(name)
        raise UserError(f"{library} has no network like {name}: {why}.")
    on_encoder = peers_with_encoder(peers, options)
    if not on_encoder:
        known = ", ".join(peer.options["encoder"] for peer in peers)
        raise UserError(
            f"{library} has no {name} with the maps of {encoder_name(name, options)}: it has those "
            f"of {known}."
        )
    differing = {peer: misfits(peer, name, options) for peer in on_encoder}
    peer = min(on_encoder, key=lambda peer: len(differing[peer]))
    if differing[peer]:
        values = ", ".join(
            f"{option}={ours} and not {theirs}"
            for option, (ours, theirs) in differing[peer].items()
        )
        raise UserError(
            f"This {name} has {values}: {peer} would not compute with its weights what it computes."
        )
    return peer
