"""Output files that a user names: checked before the work, and written atomically.

They may lie in an object store: then they are written here first, and uploaded at the end.
"""

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from cnnlab.errors import UserError
from cnnlab.storage import object_store
from cnnlab.storage.object_store import is_url, located

_ENOUGH = 2**16  # bytes, that a disk must take before the work begins


def check_output(path: str | os.PathLike, *, name: str = "out") -> Path | str:
    """Raises a `UserError` unless a file can be written or replaced at a path.

    Links, devices and pipes are refused. The check writes a few kilobytes beside the path and
    removes them.

    Args:
      path: path of the file, or its address in an object store.
      name: name of the argument with the path, for the error message.

    Returns:
      The path, or the address.
    """
    path = located(path)
    if is_url(path):
        object_store.check_writable(path)
        return path
    try:
        if path.is_symlink():
            raise UserError(
                f"{name}={path} is a link to '{path.readlink()}', which is not replaced: name the "
                "file itself, or another."
            )
        if path.is_dir():
            raise UserError(f"{name}={path} is a folder, and should be a file.")
        if path.exists() and not path.is_file():
            raise UserError(f"{name}={path} is a device or a pipe, and should be a file.")
        if not path.parent.is_dir():
            raise UserError(f"{name}={path}: there is no folder '{path.parent}'.")
        with contextlib.ExitStack() as stack:
            temporary = Path(stack.enter_context(_beside(path)))
            temporary.write_bytes(bytes(_ENOUGH))
    except OSError as error:
        raise _sentence(name, path, error) from error
    return path


def check_utf8(path: str | os.PathLike, *, name: str) -> None:
    """Raises a `UserError` for a folder of runs whose name is no UTF-8, as Orbax needs it to be."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{name}={path} is not UTF-8: choose another name.") from error


def check_output_folder(path: str | os.PathLike) -> Path:
    """Creates an output folder; raises a `UserError` if that is not possible."""
    if is_url(path):
        raise UserError(f"out={path} must be a folder here, and is in an object store.")
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise UserError(f"out={path} is a file, and must be a folder.") from error
    except OSError as error:
        raise _sentence("out", path, error) from error
    check_output(path / "x")
    return path


@contextlib.contextmanager
def output_file(path: str | os.PathLike, *, name: str = "out") -> Iterator[Path]:
    """Yields a temporary path with the same suffix that atomically replaces `path` on exit.

    If writing fails, the temporary file is removed and `path` stays unchanged.

    Raises:
      UserError: the path is impossible as in `check_output`, the disk is full, or writing fails.
    """
    path = check_output(path, name=name)
    if is_url(path):
        with temporary_folder(path) as folder:
            temporary = folder / f"x{PurePosixPath(path).suffix}"
            temporary.touch()
            yield temporary
            move_beside(temporary, path, PurePosixPath(path).name)
        return
    try:
        with _beside(path) as temporary:
            yield temporary
            temporary.replace(path)
    except OSError as error:
        raise _sentence(name, path, error) from error


@contextlib.contextmanager
def temporary_folder(path: str | os.PathLike) -> Iterator[Path]:
    """Yields a folder on the disk of a file to write, or for temporary files if that is an address.

    It is removed on exit.
    """
    place = None if is_url(path) else Path(path).parent
    with tempfile.TemporaryDirectory(prefix=".", dir=place) as folder:
        yield Path(folder)


def move_beside(file: Path, path: str | os.PathLike, name: str) -> None:
    """Moves a file from a `temporary_folder` beside the output file at `path`, under a name."""
    if is_url(path):
        object_store.upload(str(located(path)).rpartition("/")[0], {name: file})
    else:
        file.replace(Path(path).parent / name)


def check_space(path: str | os.PathLike, num_bytes: int) -> None:
    """Raises a `UserError` if the disk of a file has fewer bytes left."""
    place = tempfile.gettempdir() if is_url(path) else Path(path).parent
    free = shutil.disk_usage(place).free
    if free < num_bytes:
        raise UserError(
            f"out={path} takes {num_bytes / 2**20:,.1f} MiB, and its disk has "
            f"{free / 2**20:,.1f} MiB left."
        )


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[Path]:
    number, temporary = tempfile.mkstemp(suffix=path.suffix, prefix=".", dir=path.parent)
    os.umask(mask := os.umask(0))
    try:
        os.fchmod(number, path.stat().st_mode if path.exists() else 0o666 & ~mask)
        os.close(number)
        yield Path(temporary)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _sentence(name: str, path: Path, error: OSError) -> UserError:
    left = ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        left = f" ({shutil.disk_usage(path.parent).free / 2**20:.0f} MiB free)"
    return UserError(f"{name}={path} cannot be written: {error.strerror or error}{left}.")
