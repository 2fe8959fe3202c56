"""The folder of a run: its files, who writes them, and the run's description.

config.json       the resolved config
dataset.json      classes, image shape, sizes, splits and statistics of the data
examples.npz      of a folder of images: the path of each example, by split
environment.json  versions, git revision, devices, command line (one entry per start)
checksums.sha256  SHA-256 of these files, compared whenever one is read
metrics.jsonl     training and evaluation numbers, one JSON object a line
result.json       the final numbers; there once the run is complete
checkpoints/      see cnnlab.train.checkpoints.writer
tensorboard/      the numbers of metrics.jsonl as events
confusion_matrix.npy  counts on the test split, rows are true classes
curves.png, confusion_matrix.png
class_scores.png  of segmentation: the IoU of each class
predictions.png   of segmentation: label maps of a few examples, as of the last evaluation
logs/             of a job on a cluster: what its tasks print
"""

import contextlib
import datetime
import importlib.metadata
import io
import json
import os
import platform
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from cnnlab.config import Config, differences, from_json, to_json, with_plugins
from cnnlab.config.serialize import DURATION_FIELDS
from cnnlab.data import DatasetInfo, DatasetRecord
from cnnlab.errors import UserError
from cnnlab.plugins import load_plugins
from cnnlab.storage import checksums
from cnnlab.storage.atomic_write import temporary_name
from cnnlab.storage.json_text import parse_json, read_bytes
from cnnlab.storage.output_file import check_utf8
from cnnlab.train.runtime.run_mirror import local_run, shown

_PACKAGES = ("cnnlab", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy",
             "tensorflow-datasets")  # fmt: skip
_EXAMPLES = "examples.npz"


class Workdir:
    """Paths and JSON files of one run.

    Attributes:
      path: the folder; of a run in an object store, its local copy.
      shown: what messages call it: the folder, or the address in the object store.
    """

    def __init__(self, path: str | os.PathLike):
        """Opens a folder, or the address of one in an object store, which is copied for reading.

        Raises:
          UserError: the object store cannot be read.
        """
        self.path = local_run(path)
        self.shown = shown(self.path)

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def confusion(self) -> Path:
        return self.path / "confusion_matrix.npy"

    @property
    def predictions(self) -> Path:
        return self.path / "predictions.png"

    @property
    def has_run(self) -> bool:
        """Whether a run was started here."""
        return (self.path / "config.json").is_file()

    def create(self) -> None:
        """Creates the folder; raises a `UserError` if that is not possible."""
        check_utf8(self.path, name="workdir")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise UserError(f"workdir={self.path} is a file, and must be a folder.") from error
        except OSError as error:
            raise UserError(f"workdir={self.path} cannot be created: {error.strerror}.") from error
        if not os.access(self.path, os.W_OK):
            raise UserError(f"workdir={self.path} is not writable.")

    def config(self) -> Config:
        """The saved config, whose plugins are imported.

        Raises:
          UserError: no run was started, its config is damaged, or a plugin is missing or has
            changed.
        """
        if not self.has_run:
            raise UserError(
                f"There is no run in {self.shown} (no config.json): train one there "
                "first, or name the folder of another run."
            )
        config = from_json(self._read("config.json"))
        load_plugins(config.plugins)
        return config

    def dataset_info(self) -> DatasetInfo:
        """The run's data description."""
        tree = self._read("dataset.json")
        try:
            return DatasetInfo.from_json(tree)
        except UserError as error:
            raise UserError(f"{self.path / 'dataset.json'} is damaged: {error}") from error

    def dataset_record(self) -> DatasetRecord:
        """The run's data description and its record of examples."""
        info, path = self.dataset_info(), self.path / _EXAMPLES
        if not path.exists() and not self.has_lost(_EXAMPLES):
            return DatasetRecord(info)
        data = checksums.checked(path, read_bytes(path))
        try:
            with np.load(io.BytesIO(data)) as arrays:
                paths = {split: _paths(arrays[split]) for split in info.num_examples}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise UserError(f"{path} is damaged: {error}.") from error
        return DatasetRecord(info, paths)

    @property
    def has_dataset(self) -> bool:
        """Whether the run has recorded its data."""
        return (self.path / "dataset.json").is_file()

    def has_lost(self, name: str) -> bool:
        """Whether a file was written here that is no longer there."""
        path = self.path / name
        return not path.exists() and checksums.is_recorded(path)

    def result(self) -> dict[str, Any] | None:
        """The final metrics, or None while the run is not complete.

        Raises:
          UserError: the file is damaged.
        """
        if not (self.path / "result.json").exists():
            return None
        result = self._read("result.json")
        numbers = (result.get(name) for name in ("checkpoint_step", "steps", "num_parameters"))
        test = result.get("test")
        if not isinstance(test, dict) or not all(type(number) is int for number in numbers):
            raise UserError(
                f"{self.path / 'result.json'} is damaged: it lacks test, checkpoint_step, steps or "
                "num_parameters."
            )
        return result

    def confusion_matrix(self, num_classes: int) -> np.ndarray:
        """Counts on the test split [classes, classes], rows are true classes.

        Raises:
          UserError: the file is missing, damaged, or of another number of classes.
        """
        data = checksums.checked(self.confusion, read_bytes(self.confusion))
        try:
            matrix = np.load(io.BytesIO(data))
        except (ValueError, EOFError, OSError, SyntaxError) as error:
            raise UserError(f"{self.confusion} is damaged: {error}.") from error
        if matrix.shape != (num_classes, num_classes) or matrix.dtype.kind not in "iuf":
            raise UserError(
                f"{self.confusion} is damaged: it should hold [{num_classes}, {num_classes}] "
                f"counts, and holds {matrix.dtype} {list(matrix.shape)}."
            )
        return matrix

    def starts(self) -> list[dict[str, Any]]:
        """What environment.json says of each start, oldest first.

        Raises:
          UserError: the file is damaged.
        """
        if not (self.path / "environment.json").exists():
            return []
        starts = self._read("environment.json", list)
        if not all(isinstance(start, dict) for start in starts):
            raise UserError(f"{self.path / 'environment.json'} is damaged: it must hold objects.")
        return starts

    def check_config(self, config: Config, *, longer: bool = False) -> None:
        """Raises a `UserError` that shows where `config` contradicts the run's config.

        Args:
          config: of this start.
          longer: whether a run that is complete may be trained longer.
        """
        saved = self.config()
        different = differences(saved, config)
        if longer and different and not differences(saved, config, but=DURATION_FIELDS):
            if self.result() is not None:
                return
            raise UserError(
                f"{self.shown} holds a run that is not complete yet, and was started with "
                f"{'; '.join(different)} (saved -> asked). Resume it to its end without this "
                "change; it can be trained longer after that."
            )
        if different:
            lines = "\n  ".join(different)
            raise UserError(
                f"{self.shown} holds a run with another config (saved -> asked):\n  {lines}\n"
                "Choose another workdir, or leave these settings out to resume that run."
            )

    def is_extended_by(self, config: Config) -> bool:
        """Whether `config` trains the run that lies here longer."""
        return self.has_run and bool(differences(self.config(), config))

    def extend(self, config: Config) -> None:
        """Takes the longer `config` for a run that was complete; the caller holds the lock.

        The result goes first: after a kill in between, it is computed again.
        """
        result = self.path / "result.json"
        checksums.forget(result)
        result.unlink(missing_ok=True)
        checksums.write(self.path / "config.json", config_bytes(config))

    @contextlib.contextmanager
    def named_in_errors(self) -> Iterator[None]:
        """Context in which an `OSError` without a file name gets the name of this folder.

        A write that fails on a full disk knows only the file descriptor.
        """
        try:
            yield
        except OSError as error:
            if error.filename is None:
                error.filename = str(self.path)
            raise

    def write(self, name: str, value: Any) -> None:
        """Writes a JSON file atomically, with its checksum."""
        checksums.write(self.path / name, _as_bytes(value))

    def write_array(self, path: Path, array: np.ndarray) -> None:
        """Writes a .npy file atomically, with its checksum."""
        buffer = io.BytesIO()
        np.save(buffer, array)
        checksums.write(path, buffer.getvalue())

    def start(self, config: Config, record: DatasetRecord, argv: list[str]) -> None:
        """Records that a run starts or resumes; the caller holds the folder's lock.

        config.json, dataset.json and examples.npz are written once and never replaced. Another
        process may have written them between this one's first look and the lock.

        Args:
          config: the config.
          record: data description of the loaded data.
          argv: command line of this process, for environment.json.

        Raises:
          UserError: the folder holds a run with another config or other data.
        """
        self.remove_temporary()
        if self.has_run:
            self.check_config(config)
        else:
            self._write_once("config.json", config_bytes(config))
        if self.has_dataset:
            self.check_data(record.info)
        else:
            if record.paths is not None:
                arrays = {split: _bytes(paths) for split, paths in record.paths.items()}
                buffer = io.BytesIO()
                np.savez_compressed(buffer, **arrays)
                self._write_once(_EXAMPLES, buffer.getvalue())
            self._write_once("dataset.json", _as_bytes(record.info.to_json()))
        self.write("environment.json", [*self.starts(), describe_environment(argv)])

    def check_data(self, info: DatasetInfo) -> None:
        """Raises a `UserError` unless `info` describes the same examples as the run's."""
        ours = self.dataset_info()
        fields = ("class_names", "image_shape", "num_examples", "digests")
        for field in fields:
            then, now = getattr(ours, field), getattr(info, field)
            if then != now:
                shown = "" if field == "digests" else f" ({then} -> {now})"
                raise UserError(
                    f"{self.shown} holds a run that was started with other data: its {field} "
                    f"differ{shown}. Restore the data, or choose another folder."
                )

    def remove_temporary(self) -> None:
        """Removes files that a killed process was writing; the caller holds the lock."""
        for path in self.path.glob(temporary_name("*")):
            path.unlink()

    def _write_once(self, name: str, data: bytes) -> None:
        path = self.path / name
        if not checksums.matches(path, data):
            raise UserError(
                f"{path} is missing, and what this start would write in its place differs from it: "
                "restore it, or choose another folder."
            )
        checksums.write(path, data)

    def _read(self, name: str, kind: type = dict) -> Any:
        path = self.path / name
        return parse_json(checksums.checked(path, read_bytes(path)), path, kind)


def config_bytes(config: Config) -> bytes:
    """The content of config.json."""
    return _as_bytes(to_json(with_plugins(config)))


def _as_bytes(value: Any) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()


def _bytes(paths: Sequence[str]) -> np.ndarray:
    """Paths as bytes, each terminated by a zero byte, which no path contains."""
    text = "".join(f"{path}\0" for path in paths)
    return np.frombuffer(text.encode("utf-8", "surrogateescape"), np.uint8)


def _paths(data: np.ndarray) -> tuple[str, ...]:
    """Inverse of `_bytes`."""
    return tuple(data.tobytes().decode("utf-8", "surrogateescape").split("\0")[:-1])


def describe_environment(argv: list[str]) -> dict[str, Any]:
    """Returns versions, git revision, devices and command line of this process."""
    versions = {}
    for package in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": argv,
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "devices": [str(device) for device in jax.devices()],
        "device_kind": jax.devices()[0].device_kind,
        "processes": jax.process_count(),
        "versions": versions,
        "git_revision": _git_revision(),
    }


def _git_revision() -> str | None:
    """The commit of the code's repository, with `+changes` if files differ from it."""
    folder = Path(__file__).parent
    try:
        revision, status = (
            subprocess.run(
                ["git", "-C", folder, *command], capture_output=True, text=True, check=True
            ).stdout.strip()
            for command in (["rev-parse", "HEAD"], ["status", "--porcelain", "."])
        )
    except (OSError, subprocess.CalledProcessError):  # not a repository, or no git
        return None
    return revision + ("+changes" if status else "")
