"""What the weights of `model.pretrained` expect of images, from wherever it is known."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from cnnlab.data import DatasetInfo
from cnnlab.errors import UserError
from cnnlab.pretrained import image_geometry, image_statistics
from cnnlab.storage.object_store import is_url
from cnnlab.train.runtime.workdir import Workdir

# Fields of `ExpectedImages` in the header of a safetensors file, as JSON.
_HEADER = ("mean", "std", "image_size", "resize", "crop_fraction", "interpolation")


@dataclasses.dataclass(frozen=True)
class ExpectedImages:
    """Of 8-bit images; None where it is not known.

    Attributes:
      mean: per channel, of pixels in [0, 1].
      std: likewise.
      image_size: height and width.
      resize: see `cnnlab.data.geometry.placement.Geometry`, also for the next two.
      crop_fraction: see there.
      interpolation: see there.
    """

    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    image_size: int | None = None
    resize: str | None = None
    crop_fraction: float | None = None
    interpolation: str | None = None


def expected_images(source: str | None) -> ExpectedImages:
    """What a source of weights says: a library's name, the header of a file, or a run.

    Args:
      source: see `model.pretrained`.
    """
    if source is None:
        return ExpectedImages()
    path = Path(source).expanduser()
    if "#" in source and not path.exists():
        path = Path(source.rpartition("#")[0]).expanduser()  # FILE#ENTRY
    if (path.is_dir() or is_url(source)) and (folder := Workdir(path)).has_dataset:
        return of_info(folder.dataset_info())
    if path.is_file():
        return _of_header(_read_header(path), source)
    mean, std = image_statistics(source) or (None, None)
    geometry = image_geometry(source)
    known = geometry._asdict() if geometry else {}
    return ExpectedImages(mean, std, **known)


def of_info(info: DatasetInfo) -> ExpectedImages:
    """What a run's network was trained on; nothing where images are not of 8 bits."""
    if info.dtype != "uint8" or info.clip:
        return ExpectedImages()
    height, width, _ = info.image_shape
    return ExpectedImages(
        info.mean,
        info.std,
        height if height == width else None,
        info.resize,
        info.crop_fraction,
        info.interpolation,
    )


def header_of(info: DatasetInfo) -> dict[str, str]:
    """The same as texts for the header of a file."""
    expected = dataclasses.asdict(of_info(info))
    return {name: json.dumps(value) for name, value in expected.items() if value is not None}


def _of_header(header: dict[str, str], source: str) -> ExpectedImages:
    found: dict[str, Any] = {}
    try:
        for name in _HEADER:
            if name in header:
                value = json.loads(header[name])
                found[name] = tuple(value) if isinstance(value, list) else value
    except ValueError as error:
        raise UserError(f"The header of '{source}' has a {name} that is no JSON.") from error
    return ExpectedImages(**found)


def _read_header(path: Path) -> dict[str, str]:
    """The texts in the header of a safetensors file; of other files, none."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError):
        return {}  # reading the weights says what is wrong with it
