"""Loads pretrained weights into networks."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict, unflatten_dict

from cnnlab.errors import UserError
from cnnlab.models import Network, create_model, model_task
from cnnlab.pretrained.convert import Fit, Path, PyTree, fit, named_tensors
from cnnlab.pretrained.names.rules import Naming
from cnnlab.pretrained.options import differing_options, encoder_name, with_options
from cnnlab.pretrained.peer import Peer
from cnnlab.pretrained.peers import LIBRARIES, peers_of, peers_with_encoder
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

    model: Network
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
    >>> model, variables, *_ = load("torchvision/deeplabv3_resnet50")

    Args:
      source: `timm/NAME[.TAG]`, `torchvision/NAME[.WEIGHTS]`, `smp/OWNER/REPOSITORY`, the folder
        that a network of segmentation_models_pytorch was saved in, or the path of a file that ends
        in .safetensors, .pth or .pt, with the names of one of these libraries.
      name: of the architecture; needed for a file that does not tell.
      num_classes: another number than the source's gives new logits' layers.
      channels: of the images; see `cnnlab.pretrained.convert.adapt_channels`.
      dtype: type of computation.
      seed: of what is new.
      **options: of the architecture; those that equal logits need are set by themselves.

    Raises:
      UserError: weights that cannot be had or do not fit; options that contradict them.
    """
    if name is not None:
        source_options(str(source), name, options)  # before anything is downloaded
    weights = read_source(str(source))
    name = name or (weights.peer.architecture if weights.peer else None)
    if name is None:
        raise UserError(f"'{source}' does not say of which network it is: give its name as well.")
    peer = weights.peer
    if peer is None:
        shapes = _shapes(name, options, num_classes or 1000, channels)
        peer = _recognise(weights, name, options, shapes)[1][0]
    _check_architecture(peer, name)
    options = with_options(peer, options, where=_field(encoder=False))
    shapes = _shapes(name, options, num_classes or 1000, channels)
    classes = num_classes or _num_classes(weights, name, options, shapes)
    if classes != (num_classes or 1000):
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


def source_options(
    source: str, name: str, options: Mapping[str, Any], *, encoder: bool = False
) -> dict[str, Any]:
    """Options of the network that `source` names, without reading it; for a path, `options`.

    Args:
      source: see `load`.
      name: of the architecture.
      options: as given to `create_model`.
      encoder: whether this is a segmentation network's encoder, for the messages.

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
) -> Fit:
    """Brings what was read into a network; see `cnnlab.pretrained.convert.fit`.

    Args:
      weights: see `read_source`.
      name: of the architecture.
      options: as given to `create_model`.
      shapes: of its variables.
      encoder: see `source_options`.

    Raises:
      UserError: other names or shapes, or a network that is another function than the source's.
    """
    if weights.peer is not None:
        _check_architecture(weights.peer, name, encoder=encoder)
        _check_options([weights.peer], name, options, encoder=encoder)
    naming, peers = _recognise(weights, name, options, shapes)
    if weights.peer is None:
        _check_options(peers, name, options, encoder=encoder)
    tensors = named_tensors(shapes, naming)
    keys = {*weights.arrays, *(tensor.key for tensor in tensors)}
    pattern = peers[0].optional
    found = fit(
        weights.arrays,
        tensors,
        what=f"'{weights.origin}', read as {name} with the names of {peers[0].library},",
        optional={key for key in keys if pattern and re.fullmatch(pattern, key)},
    )
    named = {tensor.path for tensor in tensors}
    nameless = tuple(path for path in flatten_dict(shapes) if path not in named)
    return dataclasses.replace(found, new=(*found.new, *nameless))


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
    shapes = _shapes(name, options, 1000, channels)
    found = fit_weights(weights, name, options, shapes, encoder=True)
    return {path: array for path, array in found.arrays.items() if path[1] == "backbone"}


def is_segmenter(weights: Weights, name: str, options: Mapping[str, Any], shapes: PyTree) -> bool:
    """Whether weights are of a whole segmentation network, and not of a classifier for its encoder.

    Args: as of `fit_weights`.
    """
    if weights.peer is not None:
        return model_task(weights.peer.architecture) == "segmentation"
    return any(
        tensor.key in weights.arrays
        for peer in peers_with_encoder(peers_of(name), options)
        for naming in peer.namings
        for tensor in named_tensors(shapes, naming)
        if tensor.path[1] == "head"
    )


def _shapes(name: str, options: Mapping[str, Any], classes: int, channels: int) -> PyTree:
    model = create_model(name, num_classes=classes, **options)
    return jax.eval_shape(lambda: _init(model, channels, 0))


def _init(model: Network, channels: int, seed: int) -> PyTree:
    # No network with a peer has arrays that depend on the size of the image.
    size = max(model.min_size, 32)
    return model.init(jax.random.key(seed), jnp.zeros((1, size, size, channels)), train=False)


def _recognise(
    weights: Weights, name: str, options: Mapping[str, Any], shapes: PyTree
) -> tuple[Naming, list[Peer]]:
    """The naming that most keys follow, and the networks that have it."""
    peers = peers_of(name)
    if not peers:
        raise UserError(
            f"No weights can be loaded into {name}: neither {' nor '.join(LIBRARIES)} has that "
            "network."
        )
    peers = peers_with_encoder(peers, options)
    if not peers:
        raise UserError(
            f"No weights can be loaded into {name} with the encoder {encoder_name(name, options)}: "
            f"neither {' nor '.join(LIBRARIES)} has that network with these maps."
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


def _num_classes(weights: Weights, name: str, options: Mapping[str, Any], shapes: PyTree) -> int:
    naming, _ = _recognise(weights, name, options, shapes)
    logits = ("params", "head", "logits", "bias")
    key = next(t.key for t in named_tensors(shapes, naming) if t.path == logits)
    return len(weights.arrays[key]) if key in weights.arrays else 1000


def _field(encoder: bool) -> str:
    """The field of a config that holds a network's options."""
    return "model.options.encoder_options" if encoder else "model.options"


def _check_architecture(peer: Peer, name: str, *, encoder: bool = False) -> None:
    if peer.architecture != name:
        what, field = ("encoder", "model.options.encoder") if encoder else ("network", "model.name")
        raise UserError(
            f"The weights of {peer} are of {peer.architecture}, and the {what} is {name}: set "
            f"{field}={peer.architecture}."
        )


def _check_options(
    peers: list[Peer], name: str, options: Mapping[str, Any], *, encoder: bool
) -> None:
    """Raises unless the options that tell an architecture's peers apart are those of one here."""
    telling = {option for peer in (*peers_of(name), *peers) for option in peer.options}
    for peer in peers:
        differing = differing_options(name, options, peer.options)
        differing = {option: differing[option] for option in telling & set(differing)}
        if not differing:
            return
    where = _field(encoder)
    needed = ", ".join(f"{where}.{k}={right}" for k, (_, right) in differing.items())
    raise UserError(
        f"These weights have the names of {peer}, whose function is another than this "
        f"network's: set {needed}."
    )
