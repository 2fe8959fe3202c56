"""Where weights come from: `timm/NAME[.TAG]`, `torchvision/NAME[.WEIGHTS]`, smp, or a file."""

import dataclasses
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from cnnlab.errors import UserError, did_you_mean
from cnnlab.models import model_task
from cnnlab.pretrained import files
from cnnlab.pretrained.arguments import smp_peer, with_arguments
from cnnlab.pretrained.peer import Peer
from cnnlab.pretrained.peers import LIBRARIES, find_peer, peers_of

_FILE, _CONFIG = "model.safetensors", "config.json"
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
    """The network that a source names; None for a path, and where only what it gives can tell.

    Raises:
      UserError: `timm/...` or `torchvision/...` with a name that is not known.
    """
    library, slash, rest = source.partition("/")
    if not slash or library not in LIBRARIES or Path(source).suffix in files.SUFFIXES:
        return None
    if library == "smp":
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
    is_path = path.exists() or path.suffix in files.SUFFIXES
    if source.startswith("smp/") and not is_path:
        return _read_smp(source)
    if path.is_dir() and _is_smp_folder(path):
        return _smp_weights(path / _CONFIG, path / _FILE, str(path))
    if path.is_dir():
        raise UserError(
            f"'{source}' is a folder, and no file of weights. A run's are loaded by "
            "cnnlab.train.load_run, and by model.pretrained."
        )
    if not is_path:
        raise UserError(
            f"'{source}' names no weights: give timm/NAME[.TAG], torchvision/NAME[.WEIGHTS], "
            "smp/OWNER/REPOSITORY, or the path of a run or of a file that ends in "
            f"{', '.join(files.SUFFIXES)}."
        )
    arrays, metadata = files.read(path)
    library, slash, name = metadata.get("architecture", "").partition("/")
    peer = find_peer(library, name) if slash else None
    if peer is not None and "arguments" in metadata:
        peer = with_arguments(peer, json.loads(metadata["arguments"]))
    return Weights(arrays, str(path), peer)


def _read_smp(source: str) -> Weights:
    """A repository on the hub that `push_to_hub` of segmentation_models_pytorch has made."""
    repo = source.removeprefix("smp/")
    if repo.count("/") != 1:
        raise UserError(
            f"'{source}' must be smp/OWNER/REPOSITORY, a network of segmentation_models_pytorch on "
            "the Hugging Face hub; give the path of one that you have saved."
        )
    return _smp_weights(*_fetch_hub(repo, _CONFIG, _FILE), source)


def _is_smp_folder(path: Path) -> bool:
    """Whether it is what `save_pretrained` of segmentation_models_pytorch writes."""
    try:
        return "_model_class" in json.loads((path / _CONFIG).read_text())
    except (OSError, ValueError):
        return False


def _smp_weights(config: Path, file: Path, origin: str) -> Weights:
    peer = smp_peer(json.loads(config.read_text()), f"'{origin}'")
    return Weights(files.read(file)[0], origin, peer)


def _fetch_timm(peer: Peer, tag: str) -> Path:
    if not tag and not peer.weights:
        raise UserError(f"timm offers no weights of {peer.name}; give the path of a file.")
    return _fetch_hub(f"timm/{peer.name}.{tag or peer.weights[-1]}", _FILE)[0]


def _fetch_torchvision(peer: Peer, label: str) -> Path:
    """From torchvision's own cache, or timm's copy on the hub."""
    data = (
        "COCO_WITH_VOC_LABELS" if model_task(peer.architecture) == "segmentation" else "IMAGENET1K"
    )
    labels = [f"{data}_V{number}" for number in range(1, len(peer.weights) + 1)]
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
    return _fetch_hub(f"timm/{copy.name}.{tag}", _FILE)[0]


def _torch_cache() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache"))
    home = os.environ.get("TORCH_HOME", cache / "torch")
    return Path(home).expanduser() / "hub" / "checkpoints"


def _fetch_hub(repo: str, *names: str) -> list[Path]:
    """Paths of files of a repository, from the cache of huggingface_hub or downloaded into it."""
    import huggingface_hub
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError

    paths = []
    for name in names:
        cached = huggingface_hub.try_to_load_from_cache(repo, name)
        try:
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
        except (EntryNotFoundError, HfHubHTTPError) as error:
            cause = str(error).strip().split("\n")[0]
            raise UserError(
                f"The Hugging Face hub does not give {name} of {repo} ({cause}): is that right? "
                f"See https://huggingface.co/{repo.partition('/')[0]}."
            ) from error
        paths.append(Path(found))
    return paths
