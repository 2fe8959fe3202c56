"""Writes safetensors files."""

import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import numpy as np
from safetensors.numpy import save_file

from cnnlab.errors import UserError
from cnnlab.storage.object_store import located
from cnnlab.storage.output_file import output_file


def write(
    path: str | os.PathLike, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]
) -> None:
    """Writes a safetensors file atomically."""
    path = located(path)
    if PurePosixPath(path).suffix != ".safetensors":
        raise UserError(f"'{path}' must end in .safetensors.")
    if isinstance(path, Path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with output_file(path, name="path") as temporary:
        save_file(dict(arrays), temporary, dict(metadata))
