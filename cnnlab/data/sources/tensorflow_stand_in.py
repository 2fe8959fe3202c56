"""Replaces the functions of TensorFlow with which TFDS prepares image data sets.

TFDS opens files, lists folders and encodes arrays as PNG through TensorFlow. Most image data sets
need nothing else; here Python and Pillow do it.
"""

import contextlib
import glob
import importlib.util
import io
import os
import shutil
import types
from collections.abc import Iterator
from typing import Any, NoReturn

import numpy as np
from PIL import Image

_QUALITY = 95  # of JPEG files, as TensorFlow writes them


@contextlib.contextmanager
def tensorflow_stand_in() -> Iterator[None]:
    """Context in which TFDS calls these functions if TensorFlow is not installed.

    Other functions of TensorFlow raise an `ImportError`.
    """
    from tensorflow_datasets.core.utils.lazy_imports_utils import tensorflow

    if importlib.util.find_spec("tensorflow") is not None:
        yield
        return
    # A lazy module, which keeps what it has imported in this attribute.
    vars(tensorflow)["_module"] = _TENSORFLOW
    try:
        yield
    finally:
        del vars(tensorflow)["_module"]


class _Namespace(types.SimpleNamespace):
    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise _missing(name)


class _Array(np.ndarray):
    def numpy(self) -> np.ndarray:
        return np.asarray(self)


class _Bytes(bytes):
    def numpy(self) -> bytes:
        return bytes(self)


class _Unimplemented(Exception):
    """Raised for URLs, which TFDS then downloads."""


def _missing(name: str) -> ImportError:
    return ImportError(f"No module named 'tensorflow', of which '{name}' is needed.")


def _open(name: str | os.PathLike, mode: str = "r") -> Any:
    return open(name, mode, encoding=None if "b" in mode else "utf-8")


def _copy(source: str | os.PathLike, target: str | os.PathLike, overwrite: bool = False) -> None:
    if "://" in os.fspath(source):
        raise _Unimplemented(source)
    if os.path.exists(target) and not overwrite:
        raise FileExistsError(target)
    shutil.copyfile(source, target)


def _as_text(text: str | bytes) -> str:
    return text.decode() if isinstance(text, bytes) else text


def _as_bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


def _decode(data: bytes, channels: int = 0) -> _Array:
    """Pixels [height, width, channels]; 0 channels means the file's own."""
    with Image.open(io.BytesIO(data)) as image:
        own = image.mode if image.mode in ("L", "RGBA", "I;16") else "RGB"
        pixels = np.asarray(image.convert({0: own, 1: "L", 3: "RGB", 4: "RGBA"}[channels]))
    return (pixels[..., None] if pixels.ndim == 2 else pixels).view(_Array)


def _encode(pixels: np.ndarray, file_type: str, **options: Any) -> _Bytes:
    pixels = np.asarray(pixels)
    plain = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
    if plain.dtype != np.uint8 and (plain.dtype != np.uint16 or plain.ndim != 2):
        raise _missing(f"encode_{file_type.lower()} of {plain.dtype}")  # Pillow has no such files
    file = io.BytesIO()
    Image.fromarray(plain).save(file, file_type, **options)
    return _Bytes(file.getvalue())


def _encode_png(pixels: np.ndarray) -> _Bytes:
    return _encode(pixels, "PNG")


def _encode_jpeg(pixels: np.ndarray, format: str = "", quality: int = _QUALITY) -> _Bytes:
    return _encode(pixels, "JPEG", quality=quality)


_IMAGES = {
    "decode_image": _decode,
    "decode_jpeg": _decode,
    "decode_png": _decode,
    "encode_jpeg": _encode_jpeg,
    "encode_png": _encode_png,
}
_GFILE = _Namespace(
    GFile=_open,
    copy=_copy,
    exists=os.path.exists,
    glob=glob.glob,
    isdir=os.path.isdir,
    listdir=os.listdir,
    makedirs=lambda path: os.makedirs(path, exist_ok=True),
    walk=os.walk,
)
_TENSORFLOW = _Namespace(
    __version__="2.1.0",  # the oldest that TFDS takes
    compat=_Namespace(as_text=_as_text, as_str=_as_text, as_bytes=_as_bytes),
    errors=_Namespace(UnimplementedError=_Unimplemented, NotFoundError=FileNotFoundError),
    executing_eagerly=lambda: True,
    image=_Namespace(**_IMAGES),
    io=_Namespace(gfile=_GFILE, **_IMAGES),
    shape=np.shape,
)
