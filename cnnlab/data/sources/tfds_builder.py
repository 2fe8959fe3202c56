"""Finds the image data sets of TensorFlow Datasets, and prepares them.

Most need no TensorFlow, thanks to `cnnlab.data.sources.tensorflow_stand_in`.
"""

import contextlib
import os
import queue
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cnnlab.data.catalog import TFDS_NAMES
from cnnlab.data.sources.tensorflow_stand_in import tensorflow_stand_in
from cnnlab.errors import UserError, did_you_mean
from cnnlab.storage.mirror import Mirror
from cnnlab.storage.object_store import is_url, located

_PATIENCE = 8.0  # seconds that a host may take to answer


def prepare(name: str, data_dir: str | None = None, manual_dir: str | None = None) -> Path:
    """Downloads a data set and prepares it as array_record files, unless it is already prepared.

    Args:
      name: name in TFDS's catalogue, e.g. `fashion_mnist` or `tf_flowers:3.0.1`.
      data_dir: target folder; None means TFDS's default, `~/tensorflow_datasets`.
      manual_dir: folder of archives that are used instead of downloads.

    Returns:
      The folder of the prepared files.

    Raises:
      UserError: there is no network, archives are missing, or TensorFlow is required but not
        installed; the message says what to do.
    """
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError
    from tensorflow_datasets.core.download.extractor import ExtractError
    from tensorflow_datasets.core.download.util import DownloadError

    if data_dir is not None and is_url(data_dir):
        raise UserError(
            f"'{name}' is not prepared in data_dir={data_dir}: prepare it in a local folder, and "
            "copy that to the store."
        )
    builder = find_builder(name, data_dir)
    if manual_dir is not None:
        manual_dir = os.path.expanduser(manual_dir)
        if not os.path.isdir(manual_dir):
            raise UserError(f"manual_dir={manual_dir}: there is no such folder.")
    config = tfds.download.DownloadConfig(manual_dir=manual_dir, try_download_gcs=False)
    try:
        with tensorflow_stand_in(), _from_hosts_that_answer():
            builder.download_and_prepare(download_config=config)
    # AssertionError is how TFDS says that archives are missing from manual_dir.
    except (OSError, ImportError, AssertionError, DownloadError, ExtractError,
            NonMatchingChecksumError) as error:  # fmt: skip
        raise UserError(_advice(name, error)) from error
    return Path(builder.data_path)


def _advice(name: str, error: BaseException) -> str:
    if any(isinstance(e, ImportError) and "tensorflow" in str(e) for e in _chain(error)):
        return (
            f"Preparing '{name}' needs TensorFlow (training does not): run \"pip install "
            "'cnnlab[prepare]'\", then this command again."
        )
    reason = str(error).strip().split("\n")[0][:200]
    return (
        f"'{name}' could not be prepared: {reason}. On a machine without network, put its archives "
        f"into a folder and prepare '{name}' with manual_dir=FOLDER, or copy ~/tensorflow_datasets "
        "from a machine where it is prepared and set data.data_dir to the copy."
    )


@contextlib.contextmanager
def _from_hosts_that_answer() -> Iterator[None]:
    """Context in which a download fails quickly if its host does not answer.

    TFDS itself retries ten times with growing delays and waits without a limit.
    """
    from tensorflow_datasets.core.download import downloader
    from tensorflow_datasets.core.download.util import DownloadError

    opens, answers, lock = downloader._open_url, {}, threading.Lock()

    def opened(url: str, **options: Any) -> Any:
        host = urlsplit(url).netloc
        with lock:  # files are downloaded side by side
            if host not in answers:
                answers[host] = _answers(url)
        if not answers[host]:
            raise DownloadError(f"{host} does not answer")
        return opens(url, **options)

    downloader._open_url = opened
    try:
        yield
    finally:
        downloader._open_url = opens


def _answers(url: str) -> bool:
    """Whether the host of a URL can be reached, through a proxy if one is configured."""
    import requests

    found: queue.Queue[bool] = queue.Queue()

    def ask() -> None:
        try:
            if url.startswith("http"):
                requests.head(url, timeout=_PATIENCE)
            else:
                socket.create_connection((urlsplit(url).hostname, 21), _PATIENCE).close()
            found.put(True)
        except OSError:  # those of requests are
            found.put(False)

    # Looking up a name has no limit of its own.
    threading.Thread(target=ask, daemon=True).start()
    try:
        return found.get(timeout=_PATIENCE)
    except queue.Empty:
        return False


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _copied(url: str) -> Path:
    """Returns the local copy of a data set's folder in an object store, brought up to date."""
    mirror = Mirror(url)
    with mirror.alone():
        mirror.pull()
    return mirror.folder


def find_builder(name: str, data_dir: str | None) -> object:
    """Returns the builder of a data set; raises a `UserError` for unknown names."""
    import tensorflow_datasets as tfds

    known = tfds.list_builders(with_community_datasets=False)
    plain = name.split(":")[0].split("/")[0]
    if plain not in known:
        hint = did_you_mean(plain, [*TFDS_NAMES, "digits", "digit_scenes"])
        raise UserError(
            f"Unknown data set '{name}': it is neither 'digits', nor 'digit_scenes', nor "
            f"'folder:PATH', nor a set of TFDS.{hint}"
        )
    if data_dir is not None and is_url(data_dir):
        data_dir = str(_copied(f"{located(data_dir)}/{plain}").parent)
    try:
        return tfds.builder(name, data_dir=data_dir, file_format="array_record")
    except (AssertionError, ValueError) as error:  # a version or config that does not exist
        reason = str(error).split("\n")[0]
        raise UserError(f"data.name={name} cannot be had from TFDS: {reason}") from error
