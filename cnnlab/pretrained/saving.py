"""Writes a network's weights under the names of torchvision, timm or smp."""

import json
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from flax.traverse_util import flatten_dict

from cnnlab.arrays import PyTree
from cnnlab.errors import UserError, did_you_mean
from cnnlab.pretrained import files
from cnnlab.pretrained.arguments import arguments_of, call_of, misfits
from cnnlab.pretrained.convert import match_weights, named_tensors, own_tensors, state_dict
from cnnlab.pretrained.options import encoder_name
from cnnlab.pretrained.peer import ReferenceModel
from cnnlab.pretrained.peers import LIBRARIES, peers_of, peers_with_encoder, why_no_peer
from cnnlab.pretrained.shapes import variable_shapes


class Saved(NamedTuple):
    """The network that a saved file is for.

    Attributes:
      peer: the other library's network.
      num_classes: number of classes.
      arguments: further arguments of the network there.
    """

    peer: ReferenceModel
    num_classes: int
    arguments: Mapping[str, Any]

    def call(self, channels: int = 3) -> str:
        """Returns the Python expression that creates it there, for a number of image channels."""
        return call_of(self.peer, self.arguments, num_classes=self.num_classes, channels=channels)

    def loading(self, path: str | os.PathLike) -> str:
        """The lines of Python that load the file into that network, called `model`."""
        read = f"safetensors.torch.load_file({json.dumps(str(path))})"
        if self.peer.version is None:
            return f"model.load_state_dict({read}, strict=True)"
        return "\n".join(
            (
                f"state = collections.OrderedDict({read})",
                f'state._metadata = {{"": {{"version": {self.peer.version}}}}}',
                "model.load_state_dict(state, strict=True)",
            )
        )


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
      path: path of the file, which ends in .safetensors.
      variables: variables of the network, as from `model.init`.
      name: name of the architecture.
      naming: `torchvision`, `timm` or `smp` (segmentation_models_pytorch).
      metadata: further texts for the file's header, which has `architecture`, the network there,
        its `arguments` as JSON, and `num_classes`.
      **options: options of the network, as for `create_model`.

    Raises:
      UserError: the library has no such network, the options make this one compute another
        function, or the arrays are not those of a network with these options.
    """
    if naming not in LIBRARIES:
        raise UserError(f"Unknown naming '{naming}'.{did_you_mean(naming, LIBRARIES)}")
    peer = _equal_peer(name, naming, options)
    _check_arrays(variables, name, options)
    tensors = named_tensors(variables, peer.namings[0])
    classes = flatten_dict(variables)["params", "head", "logits", "kernel"].shape[-1]
    arguments = arguments_of(peer, name, options)
    header = {"format": "pt", "architecture": str(peer), "num_classes": str(classes)}
    if arguments:
        header["arguments"] = json.dumps(arguments)
    files.write(path, state_dict(variables, tensors), {**header, **(metadata or {})})
    return Saved(peer, classes, arguments)


def _check_arrays(variables: PyTree, name: str, options: Mapping[str, Any]) -> None:
    """Raises unless a network with these options has exactly these arrays."""
    flat = flatten_dict(variables)
    classes = flat["params", "head", "logits", "kernel"].shape[-1]
    wanted = own_tensors(variable_shapes(name, options, num_classes=classes))
    given = {"/".join(path): array for path, array in flat.items()}
    what = f"A {name} with {_listed(options) or 'its default options'}"
    found = match_weights(given, wanted, what=what)
    if found.new or found.resized:
        path = "/".join((*found.new, *found.resized)[0])
        raise UserError(f"{what} has another {path}: give the options that it was made with.")


def _listed(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{option}={value}" for option, value in options.items())


def _equal_peer(name: str, library: str, options: Mapping[str, Any]) -> ReferenceModel:
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
