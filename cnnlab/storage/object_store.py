"""Objects of Amazon S3 (and of servers that speak its protocol) and Google Cloud Storage.

An address is `s3://BUCKET/NAME` or `gs://BUCKET/NAME`. Access is fsspec's, through s3fs and gcsfs,
which read the environment: credentials, `AWS_PROFILE`, `AWS_ENDPOINT_URL`. An object appears whole
or not at all, replaces the one of its name, and cannot be renamed, appended to or locked.
"""

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from cnnlab.errors import UserError

_ADDRESS = re.compile(r"([a-z][a-z0-9]+):/+(.*)", re.DOTALL)
# By scheme: the module that reads it, the extra that installs it, and what finds credentials.
_SCHEMES = {
    "s3": ("s3fs", "s3", "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"),
    "gs": ("gcsfs", "gcs", "run 'gcloud auth application-default login', or set "
                           "GOOGLE_APPLICATION_CREDENTIALS"),
}  # fmt: skip
_AT_ONCE = 256
# The libraries under fsspec, whose errors have no base class in common.
_LIBRARIES = ("aiobotocore", "aiohttp", "asyncio", "botocore", "gcsfs", "google", "requests",
              "s3fs", "urllib3")  # fmt: skip


class StoreError(UserError):
    """The store cannot be reached, has no such bucket, or denies access."""


class Listed(NamedTuple):
    """What a store lists of an object: its size in bytes, and a tag that changes with it."""

    size: int
    tag: str


def is_url(path: str | os.PathLike) -> bool:
    """Whether a path is an address, also after `pathlib` has joined its slashes."""
    return _ADDRESS.match(os.fspath(path)) is not None


def located(path: str | os.PathLike) -> Path | str:
    """Returns a local path as a `Path`, and an address in one form, without a slash at its end.

    Raises:
      UserError: an address of another kind, or without a bucket.
    """
    found = _ADDRESS.match(os.fspath(path))
    if found is None:
        return Path(path)
    scheme, rest = found.groups()
    if scheme not in _SCHEMES:
        raise UserError(
            f"{os.fspath(path)} should be a path, or begin with s3:// or gs://: other addresses "
            "cannot be read."
        )
    parts = [part for part in rest.split("/") if part]
    if not parts or {".", ".."} & set(parts):
        raise UserError(f"{os.fspath(path)} should be {scheme}://BUCKET/NAME.")
    return f"{scheme}://{'/'.join(parts)}"


def refuse_url(path: str | os.PathLike, advice: str) -> None:
    """Raises a `UserError` with an advice for an address where a local path is needed."""
    if is_url(path):
        raise UserError(f"{located(path)} is in an object store, which has no locks: {advice}.")


def list_files(url: str) -> dict[str, Listed]:
    """Lists all objects below an address, by their names below it.

    Raises:
      StoreError: there is no such bucket, or it cannot be read.
    """
    prefix = _key(url) + "/"
    with _in_a_sentence(url, "read"):
        found = _file_system(url).find(_key(url), detail=True) or {}
    listed = {}
    for key, info in found.items():
        name = key.removeprefix(prefix)
        if key.startswith(prefix) and name and not name.endswith("/"):  # marks a folder
            tag = next((info[k] for k in ("ETag", "etag", "md5Hash", "updated") if k in info), "")
            listed[name] = Listed(int(info["size"]), str(tag))
    return listed


def download(url: str, files: Mapping[str, Path]) -> None:
    """Downloads objects below an address, by name, to local files.

    Raises:
      FileNotFoundError: an object is no longer there.
      StoreError: they cannot be read.
    """
    names = list(files)
    with _in_a_sentence(url, "read", missing=False):
        for start in range(0, len(names), _AT_ONCE):
            some = names[start : start + _AT_ONCE]
            keys = [f"{_key(url)}/{name}" for name in some]
            _file_system(url).get(keys, [str(files[name]) for name in some])


def upload(url: str, files: Mapping[str, Path | bytes]) -> None:
    """Uploads local files or bytes to objects below an address, by name, in no order.

    Raises:
      FileNotFoundError: a local file is no longer there; some may have been uploaded.
      StoreError: they cannot be written.
    """
    paths = {name: source for name, source in files.items() if isinstance(source, Path)}
    with _in_a_sentence(url, "written"):
        if paths:
            keys = [f"{_key(url)}/{name}" for name in paths]
            _file_system(url).put([str(path) for path in paths.values()], keys)
        for name, source in files.items():
            if isinstance(source, bytes):
                _file_system(url).pipe_file(f"{_key(url)}/{name}", source)


def remove(url: str, names: Iterable[str]) -> None:
    """Removes objects below an address, one after the other; those that are gone are no error.

    Raises:
      StoreError: they cannot be removed.
    """
    for name in names:
        # One by one: what removes many takes their names for patterns.
        with _in_a_sentence(url, "written"), contextlib.suppress(FileNotFoundError):
            _file_system(url).rm_file(f"{_key(url)}/{name}")


def check_writable(url: str) -> None:
    """Writes and removes a small object beside an address.

    Raises:
      StoreError: that is not possible.
    """
    folder, _, name = url.rpartition("/")
    if folder.endswith(":/"):
        raise UserError(f"{url} is a bucket: name an object or a folder in it, {url}/NAME.")
    beside = f".{name}.write-check"
    upload(folder, {beside: b"\0"})
    remove(folder, [beside])


def _key(url: str) -> str:
    return url.partition("://")[2]


def _file_system(url: str) -> Any:
    scheme = url.partition(":")[0]
    module, extra, _ = _SCHEMES[scheme]
    try:
        import fsspec  # of an extra, as all that is below it

        # A listing of before would hide what others write.
        return fsspec.filesystem(scheme, use_listings_cache=False)
    except ImportError as error:
        raise StoreError(f"{url} needs {module}: pip install 'cnnlab[{extra}]'.") from error


@contextlib.contextmanager
def _in_a_sentence(url: str, done: str, *, missing: bool = True) -> Iterator[None]:
    """Turns what the libraries raise into one sentence; errors of local files are left alone."""
    scheme, bucket = url.partition(":")[0], _key(url).partition("/")[0]
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if getattr(error, "filename", None) is not None:
            raise  # a local file
        if isinstance(error, FileNotFoundError):
            if not missing:
                raise
            raise StoreError(
                f"There is no bucket {scheme}://{bucket}: create it, or correct its name."
            ) from error
        kind, reason = type(error).__name__, (str(error).strip() or type(error).__name__)
        reason = reason.splitlines()[0][:200].rstrip(".")
        if "Credential" in kind:
            raise StoreError(
                f"{url} needs credentials, and none that are complete were found: "
                f"{_SCHEMES[scheme][2]}."
            ) from error
        if isinstance(error, PermissionError) or getattr(error, "code", None) in (401, 403):
            raise StoreError(
                f"{url} cannot be {done}, because the store denies it ({reason}): check the "
                "credentials, and their rights to the bucket."
            ) from error
        if not isinstance(error, OSError) and type(error).__module__.split(".")[0] not in (
            _LIBRARIES
        ):
            raise
        raise StoreError(
            f"{url} cannot be {done}: {reason}. Check the network"
            + (", and AWS_ENDPOINT_URL." if scheme == "s3" else ".")
        ) from error
