"""Reads a file or a folder of weights, whose format the content determines."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from safetensors import SafetensorError, safe_open

from cnnlab.errors import UserError
from cnnlab.pretrained.files.tensors import DTYPES, DamageError, FileError, StoredTensor
from cnnlab.pretrained.files.torch_file import read_archive, read_pickles
from cnnlab.pretrained.files.tree import architecture_of, tensors_of
from cnnlab.visible import visible

# What names of such files end in, in any case of letters.
SUFFIXES = (".safetensors", ".pth", ".pt", ".tar", ".th", ".bin", ".ckpt")
_INDEX = ".index.json"
# What a folder of the Hugging Face hub has, the first that is there.
_IN_FOLDERS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
_ZIP, _PICKLE = b"PK", b"\x80"
# How other files begin, and what is to be done with them.
_OTHERS = (
    (rb"version https://git-lfs", "a pointer of Git LFS and not the weights: fetch them with "
     "'git lfs pull'"),
    (rb"(?i)\s*(<\?xml[^>]*>\s*)?(<!--|<!doctype|<html|<head|<error)", "a web page and not the "
     "weights: download the file itself"),
    (rb"\x89HDF", "HDF5, as Keras writes it: PyTorch's and safetensors are read"),
    (rb"\x1f\x8b|BZh|\xfd7zXZ|7z\xbc\xaf|Rar!|\x28\xb5\x2f\xfd", "compressed: unpack it first"),
    (rb"(?s).{257}ustar", "a tar archive: unpack it, and give the file of weights in it"),
    (rb"\x93NUMPY", "an array of NumPy: PyTorch's and safetensors are read"),
    (rb"GGUF", "GGUF: PyTorch's and safetensors are read"),
)  # fmt: skip

Tensors = dict[str, Any]
_SAFETENSORS_DTYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "BOOL": "bool",
    **{f"{kind}{bits}": f"{name}{bits}" for kind, name in (("I", "int"), ("U", "uint"))
       for bits in (8, 16, 32, 64)},
}  # fmt: skip


def is_weights_name(name: str) -> bool:
    """Whether a name has a suffix of weight files."""
    return name.lower().endswith((*SUFFIXES, _INDEX))


def folder_file(folder: Path) -> Path | None:
    """Returns the weight file in a folder of the Hugging Face hub's layout, or None."""
    return next((folder / name for name in _IN_FOLDERS if (folder / name).is_file()), None)


def read(path: Path) -> tuple[Tensors, dict[str, Any]]:
    """Reads the tensors of a file by key, and its description of itself.

    Tensors are numpy arrays or `StoredTensor`, which `np.asarray` reads. Keys of a nested state
    dict follow its own key and a slash, e.g. `state_dict/module.conv1.weight`.

    Args:
      path: a file of safetensors or `torch.save`, or the index of a set of them (`*.index.json`).

    Returns:
      The tensors, and a description: for safetensors the texts in the header, for PyTorch
      `architectures`, names of networks stored with the weights.

    Raises:
      UserError: the file is missing, damaged, of another format, or tries to run code.
    """
    if not os.path.exists(path):  # also where its name is too long
        raise UserError(f"There is no file '{visible(str(path))}'.")
    if not path.is_file():
        raise UserError(f"'{visible(str(path))}' is no file of weights, for it is no regular file.")
    try:
        return _read(path)
    except FileError as error:
        reason = visible(str(error)).replace("\n", " ")
        raise UserError(f"'{visible(str(path))}' {reason}.") from error
    except OSError as error:
        reason = error.strerror or error
        raise UserError(f"'{visible(str(path))}' cannot be read: {reason}.") from error


def _read(path: Path) -> tuple[Tensors, dict[str, Any]]:
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(512)
    if not head:
        raise FileError("is empty: copy or download it again")
    if path.name.lower().endswith(_INDEX):
        return _read_shards(path)
    for beginning, what in _OTHERS:
        if re.match(beginning, head):
            raise FileError(f"is {what}")
    if head.startswith((_ZIP, _PICKLE)):
        tree = read_archive(path) if head.startswith(_ZIP) else read_pickles(path)
        tensors = tensors_of(tree)
        if not tensors:
            raise FileError(f"holds no tensors but {_described(tree)}: save the model's state dict")
        return tensors, {"architectures": architecture_of(tree)}
    header = int.from_bytes(head[:8], "little")
    if head[8:9] == b"{" and header < 2**40:
        if header + 8 > size:
            raise DamageError(f"it has {size} bytes, and its header alone {header + 8}")
        return _read_safetensors(path)
    if path.suffix.lower() == ".safetensors":
        raise DamageError("it cannot be read as safetensors, for its header is not theirs")
    raise FileError(f"is {_kind(head)}: files of weights are what torch.save and safetensors write")


def _described(tree: Any) -> str:
    if isinstance(tree, Mapping):
        keys = ", ".join(map(str, list(tree)[:3]))
        return f"the keys {keys}" if keys else "an empty dictionary"
    return f"an object of the type {getattr(tree, 'origin', type(tree).__name__)}"


def _kind(head: bytes) -> str:
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:
            return "of no known format"
        text = head[: error.start].decode()
    if not all(character.isprintable() or character.isspace() for character in text):
        return "of no known format"
    return f"text, which begins with {' '.join(text.split())[:40]!r}"


def _read_safetensors(path: Path) -> tuple[Tensors, dict[str, Any]]:
    try:
        with safe_open(path, framework="numpy") as file:
            tensors = {}
            for key in file.keys():  # noqa: SIM118
                part = file.get_slice(key)
                dtype = _SAFETENSORS_DTYPES.get(part.get_dtype(), part.get_dtype().lower())
                if dtype in DTYPES:
                    tensors[key] = file.get_tensor(key)
                else:
                    problem = f"stored as {dtype}, whose scales are elsewhere"
                    tensors[key] = StoredTensor(tuple(part.get_shape()), dtype, problem=problem)
            return tensors, dict(file.metadata() or {})
    # What a header can hold that is none makes it raise several kinds.
    except (SafetensorError, ValueError, TypeError, AttributeError) as error:
        raise DamageError(f"it cannot be read as safetensors ({error})") from error


def _read_shards(path: Path) -> tuple[Tensors, dict[str, Any]]:
    try:
        shard_of = json.loads(path.read_text("utf-8"))["weight_map"]
        shards = list(dict.fromkeys(shard_of.values()))
        plain = all(PurePosixPath(shard).name == shard != ".." for shard in shards)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FileError(
            "is no index of weights: it must have 'weight_map', from keys to files"
        ) from error
    if not plain:
        raise FileError("names files outside its folder: give an index of those in it")
    missing = [shard for shard in shards if not (path.parent / shard).is_file()]
    if missing:
        raise FileError(
            f"names {len(shards)} files, of which {len(missing)} are missing: copy "
            f"{', '.join(missing[:3])}{' and others' if len(missing) > 3 else ''} beside it"
        )
    tensors = {}
    for shard in shards:
        tensors |= read(path.parent / shard)[0]
    if absent := [key for key in shard_of if key not in tensors]:
        raise DamageError(f"{absent[0]} is in the index and in none of its files")
    return tensors, {}
