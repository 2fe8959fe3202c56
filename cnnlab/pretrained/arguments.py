"""The arguments with which other libraries make a network, from our options and back."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from cnnlab.errors import UserError
from cnnlab.models import model_options, model_task
from cnnlab.pretrained.options import differing_options
from cnnlab.pretrained.peer import Peer
from cnnlab.pretrained.peers import find_peer

# Arguments of segmentation_models_pytorch that say nothing of the function, or that are known from
# the weights.
_UNREAD = frozenset(
    {
        "_model_class",
        "encoder_name",
        "encoder_weights",
        "in_channels",
        "classes",
        "activation",
        "decoder_dropout",
        "decoder_aspp_dropout",
        "psp_dropout",
    }
)
# Others, and the values with which a network is one of ours.
_WANTED = {
    "encoder_depth": (5,),
    "decoder_use_norm": ("batchnorm", True),
    "decoder_use_batchnorm": (True,),
    "psp_use_batchnorm": (True,),
    "decoder_interpolation": ("nearest",),
    "decoder_merge_policy": ("add",),
    "aux_params": (None,),
}
_WANTED_OF = {
    "fpn": {"upsampling": (4,)},
    "pspnet": {"encoder_depth": (3,), "upsampling": (8,)},
    "deeplabv3": {"decoder_aspp_separable": (False,), "upsampling": (None, 8, 16)},
    "deeplabv3plus": {"decoder_aspp_separable": (True,), "upsampling": (4,)},
}


def misfits(peer: Peer, name: str, options: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Options, with the value needed, that make a network of ours another than `peer` can be."""
    differing = differing_options(name, options, peer.options)
    allowed = {o: a.values for o, a in peer.arguments.items()}
    return {
        option: (ours, allowed.get(option, theirs))
        for option, (ours, theirs) in differing.items()
        if option not in allowed or not (allowed[option] is None or ours in allowed[option])
    }


def arguments_of(peer: Peer, name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments, beside those of every network there, that make `peer` this network."""
    defaults = model_options(name)
    values = {**defaults, **options}
    return {
        argument.name: _theirs(values[option])
        for option, argument in peer.arguments.items()
        if _theirs(values[option]) != _theirs(defaults[option])
    }


def call_of(peer: Peer, arguments: Mapping[str, Any], *, num_classes: int, channels: int) -> str:
    """The Python expression that makes a network there."""
    segments = model_task(peer.architecture) == "segmentation"
    if peer.library == "smp":
        architecture, _, encoder = peer.name.partition("-")
        first = [f'"{architecture}"', f'encoder_name="{encoder}"', "encoder_weights=None"]
        first.append(f"classes={num_classes}")
        function, channels_name = "smp.create_model", "in_channels"
    elif peer.library == "timm":
        first = [f'"{peer.name}"', f"num_classes={num_classes}"]
        function, channels_name = "timm.create_model", "in_chans"
    else:
        first = [f'"{peer.name}"', f"num_classes={num_classes}"]
        first += ["weights_backbone=None"] if segments else []
        function, channels_name = "torchvision.models.get_model", None
    comment = ""
    if channels != 3 and channels_name:
        first.append(f"{channels_name}={channels}")
    elif channels != 3:
        comment = f"  # its first convolution replaced by one of {channels} channels"
    rest = [f"{name}={value!r}" for name, value in arguments.items()]
    return f"{function}({', '.join([*first, *rest])}){comment}"


def with_arguments(peer: Peer, arguments: Mapping[str, Any]) -> Peer:
    """`peer` with the options of ours that it has where it is made with these arguments."""
    names = {argument.name: option for option, argument in peer.arguments.items()}
    ours = {names[name]: _ours(value) for name, value in arguments.items() if name in names}
    return dataclasses.replace(peer, options={**peer.options, **ours})


def smp_peer(config: Mapping[str, Any], origin: str) -> Peer:
    """The network that segmentation_models_pytorch describes in the `config.json` of a folder.

    Args:
      config: its content.
      origin: the folder, for messages.

    Raises:
      UserError: a network that is none of ours.
    """
    architecture = str(config.get("_model_class")).lower()
    peer = find_peer("smp", f"{architecture}-{config.get('encoder_name')}")
    wanted = _WANTED | _WANTED_OF.get(architecture, {})
    names = {argument.name for argument in peer.arguments.values()}
    for name, value in config.items():
        if name in _UNREAD or name in names or value in wanted.get(name, ()):
            continue
        right = " or ".join(map(str, wanted.get(name, ()))) or "left out"
        raise UserError(
            f"{origin} is {peer} with {name}={value}: its weights can be loaded where that is "
            f"{right}."
        )
    return with_arguments(peer, {name: config[name] for name in names if name in config})


def _theirs(value: Any) -> Any:
    """The value that another library has for one of ours."""
    if isinstance(value, (list, tuple)):
        return list(value)
    return None if value == "none" else value


def _ours(value: Any) -> Any:
    """The inverse of `_theirs`."""
    if isinstance(value, list):
        return tuple(value)
    return "none" if value is None else value
