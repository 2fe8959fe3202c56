"""Where weights come from: `timm/NAME[.TAG]`, `torchvision/NAME[.WEIGHTS]`, or a file."""

import dataclasses
import os
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from cnnlab.errors import UserError, did_you_mean
from cnnlab.pretrained import files
from cnnlab.pretrained.peers import LIBRARIES, Peer, find_peer, peers_of

_FILE = "model.safetensors"
_TORCHVISION_URL = "https://download.pytorch.org/models/"
# Architectures whose torchvision weights timm has on the hub, under the tag for V1 and for V2.
_COPIES = (
    ("tv_in1k", r"vgg.*|densenet.*|resnet\d+|resnext.*|wide_resnet.*"),
    ("tv2_in1k", r"resnet(50|101|152)|resnext50_32x4d|resnext101_32x8d|wide_resnet.*|regnet_y.*"),
)


@dataclasses.dataclass(frozen=True)
class Weights:
    """Arrays as they were read.

    Attributes:
      arrays: by their keys.
      origin: the file, for messages.
      peer: the network that they are known to be of; None where only the keys can tell.
    """

    arrays: Mapping[str, np.ndarray]
    origin: str
    peer: Peer | None


def named_peer(source: str) -> Peer | None:
    """The network that a source names; None for a path.

    Raises:
      UserError: `timm/...` or `torchvision/...` with a name that is not known.
    """
    library, slash, rest = source.partition("/")
    if not slash or library not in LIBRARIES or Path(source).suffix in files.SUFFIXES:
        return None
    return find_peer(library, rest.partition(".")[0])


def read_source(source: str) -> Weights:
    """Reads the weights that a source names, downloading them where they must be and can be.

    Raises:
      UserError: it cannot be had; the sentence says what to do.
    """
    peer = named_peer(source)
    if peer is not None:
        label = source.partition("/")[2].partition(".")[2]
        fetch = _fetch_timm if peer.library == "timm" else _fetch_torchvision
        path = fetch(peer, label)
        return Weights(files.read(path)[0], source, peer)
    if "://" in source:
        raise UserError(f"'{source}' is an address: download the file, and give its path.")
    path = Path(source).expanduser()
    if path.is_dir():
        raise UserError(
            f"'{source}' is a folder, and no file of weights. A run's are loaded by "
            "cnnlab.train.load_run, and by model.pretrained."
        )
    if not path.exists() and path.suffix not in files.SUFFIXES:
        raise UserError(
            f"'{source}' names no weights: give timm/NAME[.TAG], torchvision/NAME[.WEIGHTS], or "
            f"the path of a run or of a file that ends in {', '.join(files.SUFFIXES)}."
        )
    arrays, metadata = files.read(path)
    library, slash, name = metadata.get("architecture", "").partition("/")
    return Weights(arrays, str(path), find_peer(library, name) if slash else None)


def _fetch_timm(peer: Peer, tag: str) -> Path:
    if not tag and not peer.weights:
        raise UserError(f"timm offers no weights of {peer.name}; give the path of a file.")
    return _fetch_hub(f"timm/{peer.name}.{tag or peer.weights[-1]}")


def _fetch_torchvision(peer: Peer, label: str) -> Path:
    """From torchvision's own cache, or timm's copy on the hub."""
    labels = [f"IMAGENET1K_V{number}" for number in range(1, len(peer.weights) + 1)]
    label = labels[-1] if label in ("", "DEFAULT") else label
    if label not in labels:
        raise UserError(f"{peer} has no weights '{label}'.{did_you_mean(label, labels)}")
    version = labels.index(label)
    name = f"{peer.weights[version]}.pth"
    cache = _torch_cache() / name
    if cache.is_file():
        return cache
    tag, copied = _COPIES[version]
    if not re.fullmatch(copied, peer.architecture):
        raise UserError(
            f"{peer}.{label} is not on the Hugging Face hub: download {_TORCHVISION_URL}{name} "
            f"into {cache.parent}, or elsewhere and give its path."
        )
    copy = next(p for p in peers_of(peer.architecture, "timm") if not p.options)
    return _fetch_hub(f"timm/{copy.name}.{tag}")


def _torch_cache() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache"))
    home = os.environ.get("TORCH_HOME", cache / "torch")
    return Path(home).expanduser() / "hub" / "checkpoints"


def _fetch_hub(repo: str) -> Path:
    import huggingface_hub
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError

    cached = huggingface_hub.try_to_load_from_cache(repo, _FILE)
    if isinstance(cached, str):
        return Path(cached)
    try:
        return Path(huggingface_hub.hf_hub_download(repo, _FILE))
    except LocalEntryNotFoundError as error:
        raise UserError(
            f"{repo} is not in the Hugging Face cache, and the hub cannot be reached: on a machine "
            f"with a network run 'hf download {repo} {_FILE}', copy the file here and give its "
            "path (or copy that machine's cache, and set HF_HOME to it)."
        ) from error
    except (EntryNotFoundError, HfHubHTTPError) as error:
        cause = str(error).strip().split("\n")[0]
        raise UserError(
            f"The Hugging Face hub does not give {_FILE} of {repo} ({cause}): is the tag right? "
            "See https://huggingface.co/timm."
        ) from error
