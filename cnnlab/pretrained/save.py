"""Writes a network's weights under the names of torchvision or timm."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flax.traverse_util import flatten_dict

from cnnlab.errors import UserError, did_you_mean
from cnnlab.pretrained import files
from cnnlab.pretrained.convert import PyTree, named_tensors, state_dict
from cnnlab.pretrained.peers import LIBRARIES, Peer, differing_options, peers_of, why_no_peer


def save(
    path: str | os.PathLike,
    variables: PyTree,
    name: str,
    *,
    naming: str = "torchvision",
    metadata: Mapping[str, str] | None = None,
    **options: Any,
) -> Peer:
    """Writes a safetensors file that the other library's network loads with `strict=True`.

    >>> save("model.safetensors", variables, "resnet18", naming="timm")
    >>> # there: timm.create_model("resnet18", num_classes=10).load_state_dict(..., strict=True)

    Args:
      path: of the file, which ends in .safetensors.
      variables: of the network, as `model.init` returns them.
      name: of the architecture.
      naming: `torchvision` or `timm`.
      metadata: further texts for the file's header, which holds `architecture`, the network there,
        and `num_classes`.
      **options: as they were given to `create_model`.

    Returns:
      The other library's network.

    Raises:
      UserError: the library has no such network, or options make this one another function.
    """
    if naming not in LIBRARIES:
        raise UserError(f"Unknown naming '{naming}'.{did_you_mean(naming, LIBRARIES)}")
    peer = _equal_peer(name, naming, options)
    tensors = named_tensors(variables, peer.namings[0])
    classes = flatten_dict(variables)["params", "head", "logits", "bias"].shape[0]
    header = {"format": "pt", "architecture": str(peer), "num_classes": str(classes)}
    files.write(Path(path), state_dict(variables, tensors), {**header, **(metadata or {})})
    return peer


def _equal_peer(name: str, library: str, options: Mapping[str, Any]) -> Peer:
    peers = peers_of(name, library)
    if not peers:
        others = {peer.library for peer in peers_of(name)} & set(LIBRARIES)
        why = f"use naming={others.pop()}" if others else why_no_peer(name)
        raise UserError(f"{library} has no network like {name}: {why}.")
    differing = {peer: differing_options(name, options, peer.options) for peer in peers}
    peer = min(peers, key=lambda peer: len(differing[peer]))
    if differing[peer]:
        values = ", ".join(
            f"{option}={ours} and not {theirs}"
            for option, (ours, theirs) in differing[peer].items()
        )
        raise UserError(
            f"This {name} has {values}: {peer} would not compute with its weights what it computes."
        )
    return peer
