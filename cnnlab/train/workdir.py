"""The folder of a run: what lies where, who may write to it, and how it is described.

config.json       the resolved config
dataset.json      classes, image shape, sizes and statistics of the data
environment.json  versions, git revision, devices, command line (one entry per start)
metrics.jsonl     training and evaluation numbers, one JSON object a line
result.json       the final numbers; there once the run is complete
checkpoints/      see cnnlab.train.checkpoint
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
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from cnnlab.config import Config, differences, from_json, to_json
from cnnlab.data import DatasetInfo
from cnnlab.errors import UserError
from cnnlab.train.whole_file import whole_file

_PACKAGES = ("cnnlab", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy",
             "tensorflow-datasets")  # fmt: skip


class Workdir:
    """Paths and JSON files of one run.

    Attributes:
      path: the folder.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)

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
    def tensorboard(self) -> Path:
        return self.path / "tensorboard"

    @property
    def has_run(self) -> bool:
        """Whether a run was started here."""
        return (self.path / "config.json").is_file()

    def create(self) -> None:
        """Makes the folder; raises a `UserError` where that is not allowed."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise UserError(f"--workdir={self.path} is a file, and must be a folder.") from error
        except OSError as error:
            raise UserError(f"--workdir={self.path} cannot be made: {error.strerror}.") from error
        if not os.access(self.path, os.W_OK):
            raise UserError(f"--workdir={self.path} is not writable.")

    def config(self) -> Config:
        """The saved config; raises a `UserError` where no run was started or it is damaged."""
        if not self.has_run:
            raise UserError(
                f"There is no run in {self.path} (no config.json): start one with "
                f"'python launch.py train --workdir={self.path}'."
            )
        return from_json(self._read("config.json"))

    def dataset_info(self) -> DatasetInfo:
        """What the run knows of its data."""
        return DatasetInfo.from_json(self._read("dataset.json"))

    def result(self) -> dict[str, Any] | None:
        """The final numbers, or None while the run is not complete."""
        return self._read("result.json") if (self.path / "result.json").is_file() else None

    def check_config(self, config: Config) -> None:
        """Raises a `UserError` that shows where `config` contradicts the run that lies here."""
        different = differences(self.config(), config)
        if different:
            lines = "\n  ".join(different)
            raise UserError(
                f"{self.path} holds a run with another config (saved -> asked):\n  {lines}\n"
                "Choose another --workdir, or leave these flags out to resume that run."
            )

    @contextlib.contextmanager
    def named_in_errors(self) -> Iterator[None]:
        """While entered, an `OSError` of a file whose name it does not know names this folder.

        A write that fails half-way, on a full disk, knows only the file's number.
        """
        try:
            yield
        except OSError as error:
            if error.filename is None:
                error.filename = str(self.path)
            raise

    def write(self, name: str, value: Any) -> None:
        """Writes a JSON file whole or not at all."""
        with whole_file(self.path / name) as temporary:
            temporary.write_text(json.dumps(value, indent=2) + "\n")

    def write_config(self, config: Config) -> None:
        """Writes config.json; a run that was started here keeps its own."""
        self.write("config.json", to_json(config))

    def record_start(self, argv: list[str]) -> None:
        """Adds an entry to environment.json: what this process runs on."""
        starts = []
        if (self.path / "environment.json").is_file():
            starts = self._read("environment.json")
        self.write("environment.json", [*starts, describe_environment(argv)])

    def _read(self, name: str) -> Any:
        path = self.path / name
        try:
            return json.loads(path.read_text())
        except FileNotFoundError as error:
            raise UserError(f"{path} is missing.") from error
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise UserError(f"{path} is damaged: {error}.") from error


def describe_environment(argv: list[str]) -> dict[str, Any]:
    """Versions, git revision, devices and command line of this process."""
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
    """The commit of the code's repository, with `+changes` where files differ from it."""
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
