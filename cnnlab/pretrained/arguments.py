"""Translates our options to other libraries' arguments and back."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from cnnlab.errors import UserError
from cnnlab.models import model_options, model_task
from cnnlab.pretrained.options import differing_options
from cnnlab.pretrained.peer import ReferenceModel
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
        "num_classes",
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
    "pan": {"upsampling": (4,), "decoder_interpolation": ("bilinear",)},
    "upernet": {"upsampling": (4,)},
    "dpt": {
        "encoder_depth": (4,),
        "encoder_output_indices": (None,),
        "decoder_readout": ("cat",),
    },
    "segformer": {"upsampling": (4,)},
    "deeplabv3plus": {"decoder_aspp_separable": (True,), "upsampling": (4,)},
}


def misfits(
    peer: ReferenceModel, name: str, options: Mapping[str, Any]
) -> dict[str, tuple[Any, Any]]:
    """Options that `peer` has no equal for, with the value that it needs."""
    differing = differing_options(name, options, peer.options)
    allowed = {o: a.values for o, a in peer.arguments.items()}
    return {
        option: (ours, allowed.get(option, theirs))
        for option, (ours, theirs) in differing.items()
        if option not in allowed or not (allowed[option] is None or ours in allowed[option])
    }


def arguments_of(peer: ReferenceModel, name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the arguments, besides the usual ones, that make `peer` equal to this network."""
    defaults = model_options(name)
    values = {**defaults, **options}
    return {
        argument.name: _theirs(values[option])
        for option, argument in peer.arguments.items()
        if _theirs(values[option]) != _theirs(defaults[option])
    }


def call_of(
    peer: ReferenceModel, arguments: Mapping[str, Any], *, num_classes: int, channels: int
) -> str:
    """Returns the Python expression that creates the network in the other library."""
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
    if peer.architecture == "dpt":
        rest.append("num_classes=0")  # its encoder has no classifier then, as none is saved
    return f"{function}({', '.join([*first, *rest])}){comment}"


def with_arguments(peer: ReferenceModel, arguments: Mapping[str, Any]) -> ReferenceModel:
    """Returns `peer` with the options of ours that correspond to these arguments.

    Raises:
      UserError: a value of another type than the option's.
    """
    names = {argument.name: option for option, argument in peer.arguments.items()}
    defaults = model_options(peer.architecture)
    ours = {}
    for name, value in arguments.items():
        if name in names:
            default = defaults[names[name]]
            if not _is_like(default, value):
                raise UserError(
                    f"{peer} takes {name} as a value like {default!r}, and the file has {value!r}."
                )
            ours[names[name]] = _ours(value)
    return dataclasses.replace(peer, options={**peer.options, **ours})


def _is_like(default: Any, value: Any) -> bool:
    """Whether a value from a file can stand in the place of an option's default."""
    if isinstance(default, (list, tuple)):
        return isinstance(value, list) and all(map(_is_size, value))
    if isinstance(default, bool):
        return isinstance(value, bool)
    if isinstance(default, int):
        return _is_size(value)
    return value is None or isinstance(value, str)


def _is_size(value: Any) -> bool:
    return type(value) is int and value > 0


def smp_peer(config: Mapping[str, Any], origin: str) -> ReferenceModel:
    """Returns the network that segmentation_models_pytorch describes in a folder's `config.json`.

    Args:
      config: content of the file.
      origin: the folder, for messages.

    Raises:
      UserError: no network of ours equals it.
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
    """Another library's value for one of ours."""
    if isinstance(value, (list, tuple)):
        return list(value)
    return None if value == "none" else value


def _ours(value: Any) -> Any:
    """Inverse of `_theirs`."""
    if isinstance(value, list):
        return tuple(value)
    return "none" if value is None else value
