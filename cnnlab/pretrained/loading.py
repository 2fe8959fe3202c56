"""Loads pretrained weights into networks."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from cnnlab.arrays import PyTree
from cnnlab.errors import UserError
from cnnlab.models import Network, create_model, model_task
from cnnlab.pretrained.convert import LoadedWeights, Path, match_weights, named_tensors
from cnnlab.pretrained.files.tensors import FileError, StoredTensor
from cnnlab.pretrained.options import SHAPELESS, differing_options, with_options
from cnnlab.pretrained.peer import ReferenceModel
from cnnlab.pretrained.peers import PEERS, peers_of
from cnnlab.pretrained.recognition import Match, has_decoder, recognise
from cnnlab.pretrained.shapes import init_variables, variable_shapes
from cnnlab.pretrained.sources import Weights, named_peer, read_source
from cnnlab.pretrained.statistics import Statistics, image_statistics


class Pretrained(NamedTuple):
    """A network with pretrained weights.

    Attributes:
      model: the network.
      variables: variables for `model.apply`.
      new: paths of arrays that the source lacks, which are newly initialised.
      statistics: per-channel mean and standard deviation of pixels in [0, 1] with which images must
        be normalised; None if the source does not specify them.
      options: options of the network, the caller's and the inferred ones.
    """

    model: Network
    variables: PyTree
    new: tuple[str, ...]
    statistics: Statistics | None
    options: dict[str, Any]


_LOGITS = ("params", "head", "logits", "kernel")


def load(
    source: str,
    name: str | None = None,
    *,
    num_classes: int | None = None,
    channels: int = 3,
    dtype: jnp.dtype | str = jnp.float32,
    seed: int = 0,
    **options: Any,
) -> Pretrained:
    """Creates a network and loads its weights.

    >>> model, variables, *_ = load("timm/resnet18.a1_in1k", num_classes=10)
    >>> model, variables, *_ = load("torchvision/deeplabv3_resnet50")

    Args:
      source: `timm/NAME[.TAG]`, `torchvision/NAME[.WEIGHTS]`, `smp/OWNER/REPOSITORY`, or the path
        of a file or folder with the names of one of these libraries, from `torch.save`,
        safetensors, the Hugging Face hub or segmentation_models_pytorch. `FILE#ENTRY` selects one
        of several sets of weights, e.g. `last.pth#model_ema`.
      name: name of the architecture; required for files that do not determine it.
      num_classes: number of classes; if it differs from the source's, the logits' layers are new.
        Required for files without a classifier.
      channels: number of image channels, to which the first convolution is adapted.
      dtype: dtype of computation.
      seed: seed of newly initialised arrays.
      **options: options of the architecture; those that equal logits require are set automatically
        if the source or the shapes of its tensors determine them.

    Raises:
      UserError: the weights cannot be read or do not fit, or the options contradict them.
    """
    if name is not None:
        source_options(str(source), name, options)  # before anything is downloaded
    weights = read_source(str(source))
    name = name or _architecture(weights)
    where = _field(encoder=False)
    if weights.peer is not None:
        _check_architecture(weights.peer, name)
        options = with_options(weights.peer, options, where=where)

    def shapes_with(more: Mapping[str, Any]) -> PyTree:
        return variable_shapes(
            name, {**options, **more}, num_classes=num_classes or 1000, channels=channels
        )

    match = recognise(weights, name, options, shapes_with, where=where)
    if weights.peer is None:
        options = with_options(match.peer, options, where=where)
    classes = num_classes or _num_classes(match, weights, shapes_with(options))
    shapes = variable_shapes(name, options, num_classes=classes, channels=channels)
    found = _fit(match, weights, name, shapes)
    model = create_model(name, num_classes=classes, dtype=dtype, **options)

    @jax.jit
    def init_new() -> dict[Path, jax.Array]:
        # Only what is new leaves this function, so XLA draws no other random numbers.
        flat = flatten_dict(init_variables(model, channels, seed))
        return {path: flat[path] for path in found.new}

    loaded = {path: jnp.asarray(array) for path, array in found.arrays.items()}
    variables = unflatten_dict(loaded | (init_new() if found.new else {}))
    new = tuple("/".join(path) for path in found.new)
    return Pretrained(model, variables, new, image_statistics(str(source)), options)


def source_options(
    source: str, name: str, options: Mapping[str, Any], *, encoder: bool = False
) -> dict[str, Any]:
    """Returns the options of the network that `source` names, without reading it; a path has none.

    Args:
      source: source of weights, as in `load`.
      name: name of the architecture.
      options: options for `create_model`.
      encoder: whether this is a segmentation network's encoder, for messages.

    Raises:
      UserError: `source` names another architecture than `name`, or `options` contradict it.
    """
    peer = named_peer(source)
    if peer is None:
        return dict(options)
    _check_architecture(peer, name, encoder=encoder)
    return with_options(peer, options, where=_field(encoder))


def fit_weights(
    weights: Weights,
    name: str,
    options: Mapping[str, Any],
    shapes: PyTree,
    *,
    encoder: bool = False,
) -> LoadedWeights:
    """Matches weights with a network, as `cnnlab.pretrained.convert.match_weights`.

    Args:
      weights: weights from `read_source`.
      name: name of the architecture.
      options: options for `create_model`.
      shapes: shapes of its variables.
      encoder: whether this is a segmentation network's encoder, for messages.

    Raises:
      UserError: names or shapes differ, or the network computes another function than the
        source's.
    """
    if weights.peer is not None:
        _check_architecture(weights.peer, name, encoder=encoder)
        _check_options(weights.peer, name, options, encoder=encoder)

    def shapes_with(more: Mapping[str, Any]) -> PyTree:
        differing = differing_options(name, options, {**options, **more})
        return (
            shapes if differing.keys() <= SHAPELESS else variable_shapes(name, {**options, **more})
        )

    match = recognise(weights, name, options, shapes_with, where=_field(encoder))
    if weights.peer is None:
        _check_options(match.peer, name, options, encoder=encoder)
    return _fit(match, weights, name, shapes)


def _fit(match: Match, weights: Weights, name: str, shapes: PyTree) -> LoadedWeights:
    tensors = named_tensors(shapes, match.naming)
    wanted = {tensor.key: tensor for tensor in tensors}
    pattern = match.peer.optional
    optional = {key for key in {*match.stored, *wanted} if pattern and re.fullmatch(pattern, key)}
    logits = next(tensor.key for tensor in tensors if tensor.path == _LOGITS)
    if logits not in match.stored:
        # A network without its classifier, or with another head than a classifier's.
        root = logits.partition(".")[0]
        optional |= {key for key in match.stored if key.startswith(f"{root}.")} - wanted.keys()
        head = 2 if model_task(name) == "classification" else 3
        optional |= {key for key, tensor in wanted.items() if tensor.path[:head] == _LOGITS[:head]}
    stored = {
        key: _values(tensor, key, weights) if key in wanted else tensor
        for key, tensor in match.stored.items()
    }
    found = match_weights(
        stored,
        tensors,
        what=f"'{weights.origin}', read as {name} with the names of {match.peer.library},",
        optional=optional,
    )
    named = {tensor.path for tensor in tensors}
    nameless = tuple(path for path in flatten_dict(shapes) if path not in named)
    return dataclasses.replace(found, new=(*found.new, *nameless))


def _values(tensor: np.ndarray | StoredTensor, key: str, weights: Weights) -> np.ndarray:
    if problem := getattr(tensor, "problem", None):
        raise UserError(
            f"'{weights.origin}' has {key}, which is {problem}: save the weights as plain tensors "
            "of float32, float16 or bfloat16."
        )
    try:
        return np.asarray(tensor)
    except FileError as error:
        raise UserError(f"'{weights.origin}' {error}.") from error


def fit_encoder(
    weights: Weights, name: str, options: Mapping[str, Any], *, channels: int
) -> dict[Path, Any]:
    """Returns the arrays of a classifier's backbone by path, for a network with that encoder.

    Args:
      weights: weights from `read_source`.
      name: name of the classifier.
      options: options of the classifier.
      channels: number of image channels.

    Raises:
      UserError: the weights do not fit, as in `fit_weights`.
    """
    shapes = variable_shapes(name, options, channels=channels)
    found = fit_weights(weights, name, options, shapes, encoder=True)
    return {path: array for path, array in found.arrays.items() if path[1] == "backbone"}


def is_segmenter(weights: Weights, name: str, options: Mapping[str, Any], shapes: PyTree) -> bool:
    """Whether weights are a whole segmentation network's, and not those of a classifier.

    The arguments are those of `fit_weights`.
    """
    if weights.peer is not None:
        return model_task(weights.peer.architecture) == "segmentation"
    return has_decoder(weights, name, options, shapes)


def _architecture(weights: Weights) -> str:
    """Returns the architecture that the file names; raises if it names none."""
    known = [weights.peer] if weights.peer else [p for p in PEERS if p.name in weights.hints]
    names = {peer.architecture for peer in known}
    if len(names) != 1:
        raise UserError(
            f"'{weights.origin}' does not say of which network it is: give its name as well."
        )
    return names.pop()


def _num_classes(match: Match, weights: Weights, shapes: PyTree) -> int:
    key = next(t.key for t in named_tensors(shapes, match.naming) if t.path == _LOGITS)
    if key in match.stored:
        return match.stored[key].shape[0]
    if match.peer.optional and re.fullmatch(match.peer.optional, key):
        return 1000
    raise UserError(
        f"'{weights.origin}' has no classifier ({key} is missing): give num_classes for a new one."
    )


def _field(encoder: bool) -> str:
    """The config's field with a network's options."""
    return "model.options.encoder_options" if encoder else "model.options"


def _check_architecture(peer: ReferenceModel, name: str, *, encoder: bool = False) -> None:
    if peer.architecture != name:
        what, field = ("encoder", "model.options.encoder") if encoder else ("network", "model.name")
        raise UserError(
            f"The weights of {peer} are of {peer.architecture}, and the {what} is {name}: set "
            f"{field}={peer.architecture}."
        )


def _check_options(
    peer: ReferenceModel, name: str, options: Mapping[str, Any], *, encoder: bool
) -> None:
    """Raises unless the options that distinguish reference models are those of this one."""
    telling = {option for other in (*peers_of(name), peer) for option in other.options}
    differing = differing_options(name, options, peer.options)
    where = _field(encoder)
    needed = [f"{where}.{o}={right}" for o, (_, right) in differing.items() if o in telling]
    if needed:
        raise UserError(
            f"These weights have the names of {peer}, whose function is another than this "
            f"network's: set {', '.join(needed)}."
        )
