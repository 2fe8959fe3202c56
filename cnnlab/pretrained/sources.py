"""Sources of weights: `timm/NAME[.TAG]`, `torchvision/NAME[.WEIGHTS]`, smp, or a file."""

import dataclasses
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cnnlab.errors import UserError, did_you_mean
from cnnlab.models import list_models, model_task
from cnnlab.pretrained import files
from cnnlab.pretrained.arguments import smp_peer, with_arguments
from cnnlab.pretrained.files.tensors import StoredTensor
from cnnlab.pretrained.peer import ReferenceModel
from cnnlab.pretrained.peers import PEERS, find_peer, peers_of
from cnnlab.visible import visible

_FILE, _CONFIG = "model.safetensors", "config.json"
_TORCHVISION_URL = "https://download.pytorch.org/models/"
# Architectures whose torchvision weights timm has on the hub too, and under which tag.
_COPIES = {
    "IMAGENET1K_V1": ("tv_in1k", r"vgg.*|densenet.*|resnet\d+|resnext.*|wide_resnet.*"),
    "IMAGENET1K_V2": (
        "tv2_in1k",
        r"resnet(50|101|152)|resnext50_32x4d|resnext101_32x8d|wide_resnet.*|regnet_.*",
    ),
}


@dataclasses.dataclass(frozen=True)
class Weights:
    """Tensors of a source, which `np.asarray` reads.

    Attributes:
      arrays: tensors by key, as from `cnnlab.pretrained.files.read`.
      origin: the file, for messages.
      peer: reference model of the tensors; None if only the keys determine it.
      entry: the requested one of several sets of weights in a file.
      hints: names of networks that the file or its name mentions.
    """

    arrays: Mapping[str, np.ndarray | StoredTensor]
    origin: str
    peer: ReferenceModel | None
    entry: str | None = None
    hints: tuple[str, ...] = ()


def named_peer(source: str) -> ReferenceModel | None:
    """Returns the network that a source names; None if only its content determines it.

    Raises:
      UserError: the name in `timm/...` or `torchvision/...` is unknown.
    """
    library, _, rest = source.partition("/")
    if (
        not rest
        or library not in ("timm", "torchvision")
        or files.is_weights_name(_split_entry(rest)[0])
    ):
        return None
    return find_peer(library, rest.partition(".")[0])


def _split_entry(source: str) -> tuple[str, str | None]:
    """Splits `FILE#ENTRY`; a file name that contains `#` itself is not split."""
    file, sign, entry = source.rpartition("#")
    return (file, entry) if sign and not _exists(source) else (source, None)


def _as_path(source: str) -> Path | None:
    """Returns the path of a source; None if it names something on the hub."""
    file = _split_entry(source)[0]
    is_path = _exists(file) or files.is_weights_name(file)
    return Path(os.path.expanduser(file)) if is_path else None


def _exists(path: str) -> bool:
    # Unlike `Path.exists` it says so too of names that are too long.
    return os.path.exists(os.path.expanduser(path))


def read_source(source: str) -> Weights:
    """Reads the weights of a source, downloading them if necessary.

    Raises:
      UserError: the weights cannot be read; the message says what to do.
    """
    peer = named_peer(source)
    if peer is not None:
        label = source.partition("/")[2].partition(".")[2]
        fetch = _fetch_timm if peer.library == "timm" else _fetch_torchvision
        path = fetch(peer, label)
        return Weights(files.read(path)[0], source, peer)
    if "://" in source:
        raise UserError(f"'{source}' is an address: download the file, and give its path.")
    path = _as_path(source)
    if path is None and source.startswith("smp/"):
        return _read_smp(source)
    if path is None:
        raise UserError(
            f"'{source}' names no weights: give timm/NAME[.TAG], torchvision/NAME[.WEIGHTS], "
            "smp/OWNER/REPOSITORY, or the path of a run or of a file that ends in "
            f"{', '.join(files.SUFFIXES)}."
        )
    entry = _split_entry(source)[1]
    if not os.path.isdir(path):  # also where its name is too long
        return _read_file(path, visible(str(path)), entry)
    file = files.folder_file(path)
    if file is None:
        raise UserError(
            f"'{source}' is a folder, and no file of weights. A run's are loaded by "
            "cnnlab.inference.load_run, and by model.pretrained."
        )
    return _read_file(file, visible(str(path)), entry)


def _read_file(path: Path, origin: str, entry: str | None = None) -> Weights:
    """Reads a file, and names of the network in its header, name and neighbouring `config.json`."""
    arrays, facts = files.read(path)
    peer = _peer_in_header(facts, path)
    hints = [*facts.get("architectures", ()), *_names_in(path)]
    config = _config_beside(path)
    if peer is None and "_model_class" in config:
        peer = smp_peer(config, f"'{origin}'")
    if isinstance(config.get("architecture"), str):
        hints.append(config["architecture"].partition(".")[0])
    return Weights(arrays, origin, peer, entry, tuple(hints))


def _peer_in_header(facts: Mapping[str, Any], path: Path) -> ReferenceModel | None:
    library, slash, name = facts.get("architecture", "").partition("/")
    peer = find_peer(library, name) if slash else None
    if peer is None or "arguments" not in facts:
        return peer
    try:
        return with_arguments(peer, json.loads(facts["arguments"]))
    except (ValueError, AttributeError, RecursionError) as error:
        raise UserError(
            f"The header of '{visible(str(path))}' must have 'arguments' as a JSON object, and has "
            f"{facts['arguments'][:40]!r}."
        ) from error


def _config_beside(path: Path) -> dict[str, Any]:
    """Content of the `config.json` next to a file in the hub's layout; empty if there is none."""
    try:
        config = json.loads((path.parent / _CONFIG).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    is_beside = path == files.folder_file(path.parent)
    return config if is_beside and isinstance(config, dict) else {}


def _names_in(path: Path) -> list[str]:
    """The network with which a file's name begins, e.g. `tf_efficientnet_b0_ns-c0e6a31c.pth`.

    A name like `efficientnet_b0.pth` only names the architecture, which the user has given, unless
    it ends in a checksum like timm's and torchvision's files or is in the hub's cache.
    """
    stem = path.name.partition(".")[0]
    names = [
        peer.name
        for peer in PEERS
        if stem.startswith(peer.name) and not re.match("[a-z0-9]", stem[len(peer.name) :])
    ]
    name = max(names, key=len, default=None)
    official = re.search(r"-[0-9a-f]{8,10}$", stem)
    found = [name] if name and (official or name not in list_models()) else []
    return [*found, *re.findall(r"models-{2}timm-{2}(\w+)", str(path))]


def _read_smp(source: str) -> Weights:
    """Reads a repository on the hub from segmentation_models_pytorch's `push_to_hub`."""
    repo = source.removeprefix("smp/")
    if not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", repo):
        raise UserError(
            f"'{source}' must be smp/OWNER/REPOSITORY, a network of segmentation_models_pytorch on "
            "the Hugging Face hub; give the path of one that you have saved."
        )
    path, file = _fetch_hub(repo, _CONFIG, _FILE)
    try:
        config = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"The config.json of '{source}' is no JSON.") from error
    if not isinstance(config, dict):
        raise UserError(f"The config.json of '{source}' must be a JSON object.")
    return Weights(files.read(file)[0], source, smp_peer(config, f"'{source}'"))


def _fetch_timm(peer: ReferenceModel, tag: str) -> Path:
    if not tag and not peer.weights:
        raise UserError(f"timm offers no weights of {peer.name}; give the path of a file.")
    return _fetch_hub(f"timm/{peer.name}.{tag or peer.weights[-1]}", _FILE)[0]


def _fetch_torchvision(peer: ReferenceModel, label: str) -> Path:
    """Returns the file in torchvision's cache, or timm's copy on the hub."""
    names = torchvision_labels(peer)
    label = list(names)[-1] if label in ("", "DEFAULT") else label
    if label not in names:
        raise UserError(f"{peer} has no weights '{label}'.{did_you_mean(label, names)}")
    name = f"{names[label]}.pth"
    cache = _torch_cache() / name
    if cache.is_file():
        return cache
    tag, copied = _COPIES.get(label, ("", ""))
    if not re.fullmatch(copied, peer.architecture):
        raise UserError(
            f"{peer}.{label} is not on the Hugging Face hub: download {_TORCHVISION_URL}{name} "
            f"into {cache.parent}, or elsewhere and give its path."
        )
    copy = next(p for p in peers_of(peer.architecture, "timm") if not p.options)
    return _fetch_hub(f"timm/{copy.name}.{tag}", _FILE)[0]


def torchvision_labels(peer: ReferenceModel) -> dict[str, str]:
    """Returns the file names of a network's weights, without suffix, by torchvision's labels.

    Weights with the same label are numbered in the order of `peer.weights`; labels of weights
    trained with SWAG (Singh et al. 2022, arXiv:2201.08371), end to end or only the logits' layer,
    say so.
    """
    data = (
        "COCO_WITH_VOC_LABELS" if model_task(peer.architecture) == "segmentation" else "IMAGENET1K"
    )
    labels: dict[str, str] = {}
    for name in peer.weights:
        kind = data
        if "_lc_swag" in name:
            kind += "_SWAG_LINEAR"
        elif "_swag" in name:
            kind += "_SWAG_E2E"
        number = 1 + sum(label.startswith(f"{kind}_V") for label in labels)
        labels[f"{kind}_V{number}"] = name
    return labels


def _torch_cache() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache"))
    home = os.environ.get("TORCH_HOME", cache / "torch")
    return Path(home).expanduser() / "hub" / "checkpoints"


def _fetch_hub(repo: str, *names: str) -> list[Path]:
    """Returns paths of a repository's files in huggingface_hub's cache; downloads missing ones."""
    import huggingface_hub
    from huggingface_hub.errors import (
        EntryNotFoundError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
    )

    paths = []
    for name in names:
        try:
            cached = huggingface_hub.try_to_load_from_cache(repo, name)
            found = (
                cached if isinstance(cached, str) else huggingface_hub.hf_hub_download(repo, name)
            )
        except LocalEntryNotFoundError as error:
            raise UserError(
                f"{repo} is not in the Hugging Face cache, and the hub cannot be reached: on a "
                f"machine with a network run 'hf download {repo} {' '.join(names)}', copy what it "
                "downloads here and give its path (or copy that machine's cache, and set HF_HOME "
                "to it)."
            ) from error
        except (EntryNotFoundError, HfHubHTTPError, HFValidationError) as error:
            cause = str(error).strip().split("\n")[0]
            raise UserError(
                f"The Hugging Face hub does not give {name} of {repo} ({cause}): is that right? "
                f"See https://huggingface.co/{repo.partition('/')[0]}."
            ) from error
        paths.append(Path(found))
    return paths
