"""Reads state dicts from files, and writes them: safetensors, and PyTorch's own to read."""

import pickle
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from cnnlab.errors import UserError

SUFFIXES = (".safetensors", ".pth", ".pt")
# Where training scripts keep the weights among other things (torchvision's, timm's).
_INNER = ("model", "state_dict")


def read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays of a file, by their keys, and its metadata (of safetensors only).

    Raises:
      UserError: no such file, another format, damage, or PyTorch is needed and missing.
    """
    if path.suffix not in SUFFIXES:
        raise UserError(f"'{path}' must end in one of {', '.join(SUFFIXES)}.")
    if not path.is_file():
        raise UserError(f"There is no file '{path}'.")
    return _read_safetensors(path) if path.suffix == ".safetensors" else (_read_torch(path), {})


def write(path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """Writes a safetensors file, whole or not at all."""
    from safetensors.numpy import save_file

    if path.suffix != ".safetensors":
        raise UserError(f"'{path}' must end in .safetensors.")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    save_file(dict(arrays), temporary, dict(metadata))
    temporary.replace(path)


def _read_safetensors(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            return arrays, dict(file.metadata() or {})
    except SafetensorError as error:
        raise UserError(f"'{path}' cannot be read as safetensors: {error}.") from error


def _read_torch(path: Path) -> dict[str, np.ndarray]:
    try:
        import torch
    except ImportError as error:
        raise UserError(
            f"'{path}' is PyTorch's format: 'pip install torch' to read it, or convert it to "
            "safetensors where PyTorch is installed."
        ) from error
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        cause = str(error).split("\n")[0]
        raise UserError(
            f"'{path}' cannot be read as a file of tensors ({cause}). Save the model's "
            "state_dict(), and nothing else, with torch.save."
        ) from error
    for inner in _INNER:
        if isinstance(loaded, dict) and isinstance(loaded.get(inner), dict):
            loaded = loaded[inner]
    if not isinstance(loaded, dict) or not all(torch.is_tensor(v) for v in loaded.values()):
        raise UserError(f"'{path}' holds {type(loaded).__name__}, and must hold a state_dict.")
    return {
        key: (tensor.float() if tensor.is_floating_point() else tensor).detach().numpy()
        for key, tensor in loaded.items()
    }
