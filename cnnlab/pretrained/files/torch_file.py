"""Reads files of `torch.save`: an archive since version 1.6, a sequence of pickles before."""

import io
import os
import struct
import zipfile
from pathlib import Path
from typing import Any

from cnnlab.pretrained.files.tensors import DamageError, FileError, Storage, itemsize
from cnnlab.pretrained.files.unpickler import Unpickler

_MAGIC = 0x1950A86A20F9469CFC6C
_PICKLE = "data.pkl"


def read_archive(path: Path) -> Any:
    """Reads the object in a zip archive; its storages are read on demand.

    Raises:
      FileError: the archive has other content.
      DamageError: the archive is unreadable or truncated.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise DamageError("its archive has no end, as after a download that broke off") from error
    names = archive.namelist()
    root = next((n.removesuffix(_PICKLE) for n in names if n.rpartition("/")[2] == _PICKLE), None)
    if root is None:
        raise FileError(
            f"is an archive of {', '.join(names[:3]) or 'nothing'}, and not of PyTorch's "
            "tensors: unpack it, and give the file of weights in it"
        )
    reader = _Reader(archive, root)
    order = reader.record("byteorder") if f"{root}byteorder" in names else b"little"
    pickled = io.BytesIO(reader.record(_PICKLE))
    return Unpickler(pickled, reader.storage, little_endian=order.strip() != b"big").read()


class _Reader:
    """The records of an archive; caches the last one."""

    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        self._archive, self._root = archive, root
        self._last: tuple[str, bytes] = ("", b"")

    def member(self, name: str) -> zipfile.ZipInfo:
        info = self._archive.getinfo(self._root + name)
        if info.CRC == 0:  # PyTorch was told to write no sums
            info.CRC = None
        return info

    def record(self, name: str) -> bytes:
        if self._last[0] != name:
            try:
                self._last = name, self._archive.read(self.member(name))
            # Damaged headers make zipfile and zlib raise many kinds.
            except Exception as error:
                raise DamageError(f"its record {name} cannot be read ({error})") from error
        return self._last[1]

    def storage(self, dtype: str, key: str, size: int) -> Storage:
        name = f"data/{key}"
        expected = size * (1 if dtype == "untyped" else itemsize(dtype))
        try:
            there = self.member(name).file_size
        except KeyError as error:
            raise DamageError(f"its record {name} is missing") from error
        if there < expected:
            raise DamageError(f"its record {name} has {there} bytes of {expected}")
        return Storage(dtype, size, lambda: self.record(name))


def read_pickles(path: Path) -> Any:
    """Reads the object in a file of the old format.

    Raises:
      FileError: the file is a pickle of something else.
      DamageError: the file is unreadable or truncated.
    """
    positions: dict[str, tuple[int, int]] = {}
    storages: dict[str, Storage] = {}

    def storage_of(dtype: str, key: str, size: int) -> Storage:
        if key not in storages:
            storages[key] = Storage(dtype, size, lambda: _read_at(path, *positions[key]))
        return storages[key]

    def load() -> Any:
        return Unpickler(file, storage_of).read()

    with path.open("rb") as file:
        if load() != _MAGIC:
            raise FileError(
                "is a pickle, and not one that torch.save has written: read it with the "
                "program that wrote it, and save its state dict with torch.save or safetensors"
            )
        _, _, tree, keys = load(), load(), load(), load()
        length = os.fstat(file.fileno()).st_size
        for key in keys if isinstance(keys, list) else []:
            if key not in storages:
                raise DamageError("it has a storage that no tensor uses")
            start, size = file.tell() + 8, storages[key].size
            size *= itemsize(storages[key].dtype)
            if start + size > length:
                raise DamageError(f"it ends {start + size - length} bytes too early")
            if struct.unpack("<q", file.read(8))[0] != storages[key].size:
                raise DamageError("a storage has another size than its tensors")
            positions[key] = start, size
            file.seek(start + size)
    if missing := storages.keys() - positions.keys():
        raise DamageError(f"it has nothing of {len(missing)} of its storages")
    return tree


def _read_at(path: Path, start: int, size: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(size)
