"""Reads a run's folder without its weights, as far as it is complete."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from cnnlab.config import Config
from cnnlab.data import DatasetInfo
from cnnlab.errors import UserError
from cnnlab.storage.checksums import CHECKSUMS
from cnnlab.storage.object_store import is_url, list_files, located
from cnnlab.tasks.build import higher_is_better, metric_of
from cnnlab.train.callbacks.json_lines import Row, read_rows
from cnnlab.train.optim.run_length import RunLength
from cnnlab.train.runtime.workdir import Workdir


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """One run; missing or damaged parts are None or empty and listed in `problems`.

    Attributes:
      name: tells the run from the others of a report.
      path: its folder.
      config: the run's config.
      info: what it knows of its data.
      rows: of metrics.jsonl.
      result: of result.json; None while the run is not complete.
      confusion: counts on the test split, [classes, classes].
      starts: of environment.json, one for each time that it was started.
      problems: a sentence for each piece that cannot be had.
    """

    name: str
    path: Path
    config: Config
    info: DatasetInfo | None
    rows: list[Row]
    result: dict[str, Any] | None
    confusion: np.ndarray | None
    starts: list[dict[str, Any]]
    problems: list[str]

    @property
    def metric(self) -> str:
        """Name of the metric that picks the run's best checkpoint."""
        return metric_of(self.config)

    @property
    def higher_is_better(self) -> bool:
        return higher_is_better(self.config)

    @property
    def last_step(self) -> int:
        return max((row["step"] for row in self.rows), default=0)

    @property
    def total_steps(self) -> int | None:
        """Number of updates of the whole run; None if its data are unknown."""
        if self.result is not None:
            return self.result["steps"]
        if self.info is None:
            return None
        return RunLength.of(self.config, self.info.num_examples["train"]).total

    @property
    def status(self) -> str:
        """`complete`, or the progress so far."""
        if self.result is not None:
            return "complete"
        if not self.rows:
            return "no step logged yet"
        return f"at step {self.last_step:,} of {self.total_steps or math.nan:,}"

    @property
    def best_validation(self) -> float | None:
        """The best value of the metric on the validation split."""
        scores = [
            row[self.metric]
            for row in self.rows
            if row["split"] == "validation" and row.get(self.metric) is not None
        ]
        return (max if self.higher_is_better else min)(scores, default=None)

    @property
    def images_per_second(self) -> float | None:
        """Median over the rows of training without the first, which includes compilation."""
        rates = [row["images_per_second"] for row in self.rows if row.get("images_per_second")]
        return float(np.median(rates[1:] or rates)) if rates else None


def find_runs(folders: Sequence[str | Path]) -> list[Path]:
    """Returns the runs that folders are or contain, at most two levels below.

    Raises:
      UserError: a folder does not exist or contains no run.
    """
    runs: list[Path] = []
    for folder in map(located, folders):
        if is_url(folder):
            runs += [path for path in _in_store(folder) if path not in runs]
            continue
        if not folder.is_dir():
            raise UserError(f"There is no folder '{folder}'.")
        found = [folder] if Workdir(folder).has_run else []
        for pattern in () if found else ("*/config.json", "*/*/config.json"):
            found += [path.parent for path in sorted(folder.glob(pattern))]
        if not found:
            raise UserError(f"There is no run in {folder}, nor in the folders in it.")
        runs += [path for path in found if path not in runs]
    return runs


def _in_store(url: str) -> list[Path]:
    """Copies of the runs that an address in an object store is or contains."""
    found = [name for name in list_files(url) if PurePosixPath(name).name == "config.json"]
    depths = [PurePosixPath(name) for name in found if name.count("/") <= 2]
    own = [name for name in depths if len(name.parts) == 1] or sorted(depths)
    if not own:
        raise UserError(f"There is no run in {url}, nor in the folders in it.")
    return [Workdir(f"{url}/{name.parent}").path for name in own]


def read_records(paths: Sequence[Path]) -> list[RunRecord]:
    """Reads runs and gives each a unique name.

    Raises:
      UserError: the config of a run is damaged; other parts may be missing.
    """
    return [_read(path, name) for path, name in zip(paths, _names(paths), strict=True)]


def _read(path: Path, name: str) -> RunRecord:
    folder, problems = Workdir(path), []

    def attempt(read: Callable[[], Any]) -> Any:
        try:
            return read()
        except UserError as error:
            problems.append(str(error).replace(f"{path}/", ""))
            return None

    config = folder.config()
    told: list[str] = []
    rows = attempt(lambda: read_rows(folder.metrics, report=told.append)) or []
    problems += [sentence.replace(f"{path}/", "") for sentence in told]
    result, info = attempt(folder.result), attempt(folder.dataset_info)
    if not (path / CHECKSUMS).exists():
        problems.append(f"{CHECKSUMS} is missing, so the other files cannot be verified.")
    for lost in filter(folder.has_lost, ("result.json", "environment.json")):
        problems.append(f"{lost} is missing.")
    if not rows:
        problems.append("No numbers of training are there: metrics.jsonl is missing or empty.")
    confusion = None
    if folder.confusion.exists() and info is not None:
        confusion = attempt(lambda: folder.confusion_matrix(info.num_classes))
    elif result is not None:
        problems.append("confusion_matrix.npy is missing.")
    return RunRecord(
        name=name,
        path=path,
        config=config,
        info=info,
        rows=rows,
        result=result,
        confusion=confusion,
        starts=attempt(folder.starts) or [],
        problems=problems,
    )


def _names(paths: Sequence[Path]) -> list[str]:
    """The shortest ends of paths that are unique."""
    parts = [path.absolute().parts for path in paths]
    for length in range(1, max(map(len, parts), default=0) + 1):
        names = ["/".join(part[-length:]) for part in parts]
        if len(set(names)) == len(names):
            break
    return names
