"""Recognises the network of a file's tensors, and their place, by keys and shapes.

Training scripts wrap networks (`module.`, `model.`, `backbone.`) and store state dicts under
various keys (`state_dict`, `net`, `model_ema`). None of these is listed here: everything before the
network's keys is a prefix. Only wrappers that can occur inside a key are known by name.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cnnlab.arrays import PyTree
from cnnlab.errors import UserError
from cnnlab.models import model_options
from cnnlab.pretrained.convert import Tensor, fits, named_tensors
from cnnlab.pretrained.key_maps.rules import KeyMap
from cnnlab.pretrained.options import differing_options, encoder_name, same
from cnnlab.pretrained.peer import ReferenceModel
from cnnlab.pretrained.peers import LIBRARIES, peers_of, peers_with_encoder
from cnnlab.pretrained.sources import Weights
from cnnlab.visible import visible

# What PyTorch puts into keys where a part of a network is wrapped: for several devices, a compiler,
# sharding or recomputation.
_WRAPPER = re.compile(
    r"(?<![^./])(module|_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\."
)
# Another set of tensors that has this share of the best one's keys is as good an answer.
_RIVAL = 0.9
_TOP = "."


@dataclasses.dataclass(frozen=True)
class Match:
    """The recognised network of a file's tensors.

    Attributes:
      peer: reference model of the tensors.
      naming: key map of their keys.
      stored: tensors of that network and others next to them, by the library's keys.
    """

    peer: ReferenceModel
    naming: KeyMap
    stored: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class _Candidate:
    peer: ReferenceModel
    naming: KeyMap
    prefix: str
    present: int
    fitting: int


def recognise(
    weights: Weights,
    name: str,
    options: Mapping[str, Any],
    shapes_with: Callable[[Mapping[str, Any]], PyTree],
    *,
    where: str,
) -> Match:
    """Finds the reference model whose keys and shapes match most tensors.

    Args:
      weights: weights from `read_source`.
      name: name of our architecture.
      options: options that the user has set.
      shapes_with: returns the shapes of our variables with a reference model's options.
      where: the config's field with the options, for messages.

    Raises:
      UserError: no network matches, or several that the file does not distinguish.
    """
    peers = _peers(name, options)
    stored = _unwrapped(weights.arrays)
    candidates = _candidates(weights, peers, stored, shapes_with)
    if not candidates:
        libraries = dict.fromkeys(peer.library for peer in peers)
        own = visible(", ".join(list(weights.arrays)[:3])) or "nothing"
        raise UserError(
            f"'{weights.origin}' has none of the tensors that {' or '.join(libraries)} names in "
            f"{name}; its own begin with {own}."
        )
    prefix = _the_prefix(weights, name, candidates)
    candidates = [c for c in candidates if c.prefix == prefix]
    best = max((c.present, c.fitting) for c in candidates)
    tied = [c for c in candidates if (c.present, c.fitting) == best]
    chosen = _the_function(weights, name, options, tied, where=where)
    inner = {
        key.removeprefix(prefix): tensor
        for key, tensor in stored.items()
        if key.startswith(prefix) and "/" not in key.removeprefix(prefix)
    }
    return Match(chosen.peer, chosen.naming, inner)


def has_decoder(weights: Weights, name: str, options: Mapping[str, Any], shapes: PyTree) -> bool:
    """Whether a file has tensors of a segmentation network's decoder."""
    stored = _unwrapped(weights.arrays)
    for peer in peers_with_encoder(peers_of(name), options):
        for naming in peer.namings:
            tensors = named_tensors(shapes, naming)
            decoder = _scores(stored, [t for t in tensors if t.path[1] == "head"])
            encoder = _scores(stored, [t for t in tensors if t.path[1] == "backbone"])
            if decoder.keys() & encoder.keys():
                return True
    return False


def _peers(name: str, options: Mapping[str, Any]) -> list[ReferenceModel]:
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
    return peers


def _candidates(
    weights: Weights,
    peers: Sequence[ReferenceModel],
    stored: Mapping[str, Any],
    shapes_with: Callable[[Mapping[str, Any]], PyTree],
) -> list[_Candidate]:
    scores: dict[tuple, dict] = {}
    candidates = []
    for known in peers:
        # Where the network is known, its tensors may still have the names of any library.
        peer = weights.peer or known
        shapes = shapes_with(peer.options)
        for naming in known.namings:
            key = (id(shapes), naming)
            if key not in scores:
                scores[key] = _scores(stored, named_tensors(shapes, naming))
            candidates += [_Candidate(peer, naming, p, *score) for p, score in scores[key].items()]
    return candidates


def _unwrapped(arrays: Mapping[str, Any]) -> Mapping[str, Any]:
    unwrapped = {_WRAPPER.sub("", key): tensor for key, tensor in arrays.items()}
    return unwrapped if len(unwrapped) == len(arrays) else arrays


def _scores(stored: Mapping[str, Any], tensors: Sequence[Tensor]) -> dict[str, tuple[int, int]]:
    """For each prefix, the number of a network's keys after it, and how many of these fit."""
    wanted = {tensor.key: tensor for tensor in tensors}
    scores: dict[str, tuple[int, int]] = {}
    for key, array in stored.items():
        for cut in (0, *(match.end() for match in re.finditer("[./]", key))):
            tensor = wanted.get(key[cut:])
            if tensor is not None:
                present, fitting = scores.get(key[:cut], (0, 0))
                scores[key[:cut]] = present + 1, fitting + fits(tensor, tuple(array.shape))
    return scores


def _the_prefix(weights: Weights, name: str, candidates: Sequence[_Candidate]) -> str:
    best: dict[str, int] = {}
    for candidate in candidates:
        best[candidate.prefix] = max(candidate.present, best.get(candidate.prefix, 0))
    entry = weights.entry
    if entry is not None:
        chosen = {
            prefix: present
            for prefix, present in best.items()
            if (prefix.rstrip("./") or _TOP) == entry
            or prefix.startswith((f"{entry}/", f"{entry}."))
        }
        if not chosen:
            raise UserError(
                f"'{weights.origin}' has no weights of {name} under '{entry}'; it has them under "
                f"{_listed(_rivals(best))}."
            )
        best = chosen
    rivals = _rivals(best)
    if len(rivals) > 1:
        raise UserError(
            f"'{weights.origin}' holds several sets of weights of {name}, {_listed(rivals)}: say "
            f"which, e.g. '{weights.origin}#{_listed(rivals[-1:])}'."
        )
    return rivals[0]


def _rivals(present: Mapping[str, int]) -> list[str]:
    return [prefix for prefix, n in present.items() if n >= _RIVAL * max(present.values())]


def _listed(prefixes: Sequence[str]) -> str:
    return visible(", ".join(prefix.rstrip("./") or _TOP for prefix in prefixes))


def _the_function(
    weights: Weights,
    name: str,
    options: Mapping[str, Any],
    tied: Sequence[_Candidate],
    *,
    where: str,
) -> _Candidate:
    """Selects one of several networks with the same tensors; raises if they compute differently."""
    telling = sorted({option for c in tied for option in c.peer.options})
    defaults = model_options(name)
    values = {
        c: {option: c.peer.options.get(option, defaults.get(option)) for option in telling}
        for c in tied
    }
    agreeing = [
        c
        for c in tied
        if all(same(options[o], value) for o, value in values[c].items() if o in options)
    ]
    tied = agreeing or tied
    hinted = [c for c in tied if c.peer.name in weights.hints]
    tied = hinted or tied
    first = tied[0]
    others = [c for c in tied if differing_options(name, c.peer.options, first.peer.options)]
    if not others or first.fitting < first.present:  # that of none, which is said later
        return first
    choices = {
        str(c.peer): ", ".join(f"{where}.{o}={value}" for o, value in values[c].items())
        for c in (first, *others)
    }
    raise UserError(
        f"'{weights.origin}' has the tensors of {' and of '.join(choices)}, which compute "
        "differently with them: set "
        + ", or ".join(f"{values} for {peer}" for peer, values in choices.items())
        + "."
    )
