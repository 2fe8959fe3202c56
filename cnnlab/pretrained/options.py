"""Compares options of two networks of one architecture."""

from collections.abc import Mapping
from typing import Any

from cnnlab.errors import UserError
from cnnlab.models import model_options
from cnnlab.pretrained.peer import ReferenceModel

# Options that change training and not the function, so that they may differ from a peer's.
_TRAINING_ONLY = frozenset(
    {"dropout_rate", "block_dropout_rate", "stochastic_depth_rate", "zero_init_residual", "aux"}
)
# Options that change the function and not the shapes of its variables.
SHAPELESS = frozenset({"padding", "norm_epsilon", "align_corners", "dilate_first", "dilate"})
_ENCODER_OPTIONS = "encoder_options"
# Options of decoders that `make_encoder` passes on to encoders that have them.
_HANDED_ON = ("output_stride", "dilate_first")


def with_options(peer: ReferenceModel, options: Mapping[str, Any], *, where: str) -> dict[str, Any]:
    """Adds the options that equal logits require to a user's; raises if they contradict.

    Args:
      peer: reference model of the weights.
      options: the user's options.
      where: the config's field with the options, for messages.
    """
    needs = {o: value for o, value in peer.options.items() if o not in _TRAINING_ONLY}
    for option, needed in needs.items():
        if option in options and not same(options[option], needed):
            raise UserError(
                f"The weights of {peer} need {where}.{option}={needed}, and it is set to "
                f"{options[option]}: leave that option out."
            )
    return {**peer.options, **options, **needs}


def differing_options(
    architecture: str, options: Mapping[str, Any], other: Mapping[str, Any]
) -> dict[str, tuple[Any, Any]]:
    """Options, with both values, by which two networks of one architecture compute differently.

    Options of an encoder are called `encoder_options.NAME` and are compared if both networks have
    the same encoder.
    """
    left, right = _all_options(architecture, options), _all_options(architecture, other)
    return {
        option: (left[option], right[option])
        for option in left
        if option in right
        and option.rpartition(".")[2] not in _TRAINING_ONLY
        and not same(left[option], right[option])
        and (not option.startswith(_ENCODER_OPTIONS) or left["encoder"] == right["encoder"])
    }


def encoder_name(architecture: str, options: Mapping[str, Any]) -> str | None:
    """The classifier that is a segmentation network's encoder; None without such an option."""
    return {**model_options(architecture), **options}.get("encoder")


def _all_options(architecture: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """All options with their values, including an encoder's."""
    values = {**model_options(architecture), **options}
    if _ENCODER_OPTIONS not in values:
        return values
    own = dict(values.pop(_ENCODER_OPTIONS) or {})
    known = model_options(values["encoder"])
    # What a decoder hands on is compared as its own: None, unless it is set for the encoder too.
    handed_on = dict.fromkeys(option for option in _HANDED_ON if option in values)
    inner = {**known, **handed_on, **own}
    return values | {f"{_ENCODER_OPTIONS}.{option}": inner[option] for option in known}


def same(left: Any, right: Any) -> bool:
    """Equality that treats a tuple and a list from JSON alike."""
    if isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    return left == right
