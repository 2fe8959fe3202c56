"""Loads pretrained weights into networks."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict, unflatten_dict

from cnnlab.errors import UserError
from cnnlab.models import Classifier, create_model
from cnnlab.pretrained.convert import Fit, Path, PyTree, fit, named_tensors
from cnnlab.pretrained.names.rules import Naming
from cnnlab.pretrained.peers import (
    LIBRARIES,
    Peer,
    differing_options,
    peers_of,
    with_options,
)
from cnnlab.pretrained.sources import Weights, named_peer, read_source
from cnnlab.pretrained.statistics import Statistics, image_statistics


class Pretrained(NamedTuple):
    """A network with weights from elsewhere.

    Attributes:
      model: what `create_model` gives.
      variables: what `model.apply` takes.
      new: paths of arrays that the source had nothing for, newly initialised.
      statistics: mean and standard deviation, per channel of pixels in [0, 1], that the images must
        be normalised with; None where the source does not tell.
    """

    model: Classifier
    variables: PyTree
    new: tuple[str, ...]
    statistics: Statistics | None


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
    """Makes a network and loads its weights.

    >>> model, variables, *_ = load("timm/resnet18.a1_in1k", num_classes=10)

    Args:
      source: `timm/NAME[.TAG]`, `torchvision/NAME[.WEIGHTS]`, or the path of a file that ends in
        .safetensors, .pth or .pt, with torchvision's or timm's names.
      name: of the architecture; needed for a file that does not tell.
      num_classes: another number than the source's gives new logits' layers.
      channels: of the images; see `cnnlab.pretrained.convert.adapt_channels`.
      dtype: type of computation.
      seed: of what is new.
      **options: of the architecture; those that equal logits need are set by themselves.

    Raises:
      UserError: weights that cannot be had or do not fit; options that contradict them.
    """
    weights = read_source(str(source))
    name = name or (weights.peer.architecture if weights.peer else None)
    if name is None:
        raise UserError(f"'{source}' does not say of which network it is: give its name as well.")
    shapes = _shapes(name, options, num_classes or 1000, channels)
    peer = weights.peer or _recognise(weights, name, shapes)[1][0]
    _check_architecture(peer, name)
    options = with_options(peer, options)
    classes = num_classes or _num_classes(weights, name, shapes)
    shapes = _shapes(name, options, classes, channels)
    found = fit_weights(weights, name, options, shapes)
    model = create_model(name, num_classes=classes, dtype=dtype, **options)

    @jax.jit
    def init_new() -> dict[Path, jax.Array]:
        # Only what is new leaves this function, so XLA draws no other random numbers.
        flat = flatten_dict(_init(model, channels, seed))
        return {path: flat[path] for path in found.new}

    loaded = {path: jnp.asarray(array) for path, array in found.arrays.items()}
    variables = unflatten_dict(loaded | (init_new() if found.new else {}))
    new = tuple("/".join(path) for path in found.new)
    return Pretrained(model, variables, new, image_statistics(str(source)))


def source_options(source: str, name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of the network that `source` names, without reading it; for a path, `options`.

    Raises:
      UserError: `source` names another architecture than `name`, or `options` contradict it.
    """
    peer = named_peer(source)
    if peer is None:
        return dict(options)
    _check_architecture(peer, name)
    return with_options(peer, options)


def fit_weights(weights: Weights, name: str, options: Mapping[str, Any], shapes: PyTree) -> Fit:
    """Brings what was read into a network; see `cnnlab.pretrained.convert.fit`.

    Args:
      weights: see `read_source`.
      name: of the architecture.
      options: as given to `create_model`.
      shapes: of its variables.

    Raises:
      UserError: other names or shapes, or a network that is another function than the source's.
    """
    naming, peers = _recognise(weights, name, shapes)
    if weights.peer is None:
        _check_options(peers, name, options)
    else:
        _check_architecture(weights.peer, name)
    tensors = named_tensors(shapes, naming)
    keys = {*weights.arrays, *(tensor.key for tensor in tensors)}
    pattern = peers[0].optional
    return fit(
        weights.arrays,
        tensors,
        what=f"'{weights.origin}', read as {name} with the names of {peers[0].library},",
        optional={key for key in keys if pattern and re.fullmatch(pattern, key)},
    )


def fit_encoder(
    weights: Weights, name: str, options: Mapping[str, Any], *, channels: int
) -> dict[Path, Any]:
    """The arrays of a classifier's backbone, by path: what a network with that encoder takes.

    Args:
      weights: see `read_source`.
      name: of the classifier.
      options: of the classifier.
      channels: of the images.

    Raises:
      UserError: as `fit_weights`.
    """
    found = fit_weights(weights, name, options, _shapes(name, options, 1000, channels))
    return {path: array for path, array in found.arrays.items() if path[1] == "backbone"}


def _shapes(name: str, options: Mapping[str, Any], classes: int, channels: int) -> PyTree:
    model = create_model(name, num_classes=classes, **options)
    return jax.eval_shape(lambda: _init(model, channels, 0))


def _init(model: Classifier, channels: int, seed: int) -> PyTree:
    # No network with a peer has arrays that depend on the size of the image.
    size = max(model.min_size, 32)
    return model.init(jax.random.key(seed), jnp.zeros((1, size, size, channels)), train=False)


def _recognise(weights: Weights, name: str, shapes: PyTree) -> tuple[Naming, list[Peer]]:
    """The naming that most keys follow, and the networks that have it."""
    peers = peers_of(name)
    if not peers:
        raise UserError(
            f"No weights can be loaded into {name}: neither {' nor '.join(LIBRARIES)} has that "
            "network."
        )
    shared = {
        naming: sum(tensor.key in weights.arrays for tensor in named_tensors(shapes, naming))
        for peer in peers
        for naming in peer.namings
    }
    naming = max(shared, key=shared.get)
    if not shared[naming]:
        libraries = dict.fromkeys(peer.library for peer in peers)
        raise UserError(
            f"'{weights.origin}' has none of the tensors that {' or '.join(libraries)} names in "
            f"{name}; its own begin with {', '.join(list(weights.arrays)[:3]) or 'nothing'}."
        )
    return naming, [peer for peer in peers if naming in peer.namings]


def _num_classes(weights: Weights, name: str, shapes: PyTree) -> int:
    naming, _ = _recognise(weights, name, shapes)
    logits = ("params", "head", "logits", "bias")
    key = next(t.key for t in named_tensors(shapes, naming) if t.path == logits)
    return len(weights.arrays[key]) if key in weights.arrays else 1000


def _check_architecture(peer: Peer, name: str) -> None:
    if peer.architecture != name:
        raise UserError(
            f"The weights of {peer} are of {peer.architecture}, and the network is {name}: set "
            f"model.name={peer.architecture}."
        )


def _check_options(peers: list[Peer], name: str, options: Mapping[str, Any]) -> None:
    """Raises unless the options that tell an architecture's peers apart are those of one here."""
    telling = {option for peer in peers_of(name) for option in peer.options}
    for peer in peers:
        differing = differing_options(name, options, peer.options)
        differing = {option: differing[option] for option in telling & set(differing)}
        if not differing:
            return
    needed = ", ".join(f"model.options.{k}={right}" for k, (_, right) in differing.items())
    raise UserError(
        f"These weights have the names of {peer}, whose function is another than this "
        f"network's: set {needed}."
    )
