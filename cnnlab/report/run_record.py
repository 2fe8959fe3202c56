"""What a run's folder tells without its weights, as much of it as is there."""

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnlab.config import Config
from cnnlab.data import DatasetInfo
from cnnlab.errors import UserError
from cnnlab.tasks import Classification, Segmentation
from cnnlab.train.make_task import DEFAULT_METRICS
from cnnlab.train.records import Row, read_rows
from cnnlab.train.schedule import total_steps
from cnnlab.train.workdir import Workdir

_METRICS = {"classification": Classification.metrics, "segmentation": Segmentation.metrics}


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """One run; what is missing or damaged is None or empty, and told in `problems`.

    Attributes:
      name: tells the run from the others of a report.
      path: its folder.
      config: of the run.
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
        """The number that picks the run's best checkpoint."""
        return self.config.evaluation.metric or DEFAULT_METRICS[self.config.task]

    @property
    def higher_is_better(self) -> bool:
        return _METRICS[self.config.task].get(self.metric, "max") == "max"

    @property
    def last_step(self) -> int:
        return max((row["step"] for row in self.rows), default=0)

    @property
    def total_steps(self) -> int | None:
        """Updates of the whole run; None where its data are not known."""
        if self.result is not None:
            return self.result["steps"]
        if self.info is None:
            return None
        return total_steps(self.config, self.info.num_examples["train"])

    @property
    def status(self) -> str:
        """`complete`, or how far it has come."""
        if self.result is not None:
            return "complete"
        if not self.rows:
            return "no step logged yet"
        return f"at step {self.last_step:,} of {self.total_steps or math.nan:,}"

    @property
    def test_score(self) -> float | None:
        """The metric on the test split."""
        return None if self.result is None else self.result["test"].get(self.metric)

    @property
    def best_validation(self) -> float | None:
        """The best of the metric on the validation split."""
        scores = [
            row[self.metric]
            for row in self.rows
            if row["split"] == "validation" and row.get(self.metric) is not None
        ]
        return (max if self.higher_is_better else min)(scores, default=None)

    @property
    def images_per_second(self) -> float | None:
        """Median over the logged rows of training, of which the first holds the compilation."""
        rates = [row["images_per_second"] for row in self.rows if row.get("images_per_second")]
        return float(np.median(rates[1:] or rates)) if rates else None


def find_runs(folders: Sequence[str | Path]) -> list[Path]:
    """The runs that folders are, or hold at most two levels below.

    Raises:
      UserError: a folder that is not there, or in which there is no run.
    """
    runs: list[Path] = []
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise UserError(f"There is no folder '{folder}'.")
        found = [folder] if Workdir(folder).has_run else []
        for pattern in () if found else ("*/config.json", "*/*/config.json"):
            found += [path.parent for path in sorted(folder.glob(pattern))]
        if not found:
            raise UserError(f"There is no run in {folder}, nor in the folders in it.")
        runs += [path for path in found if path not in runs]
    return runs


def read_records(paths: Sequence[Path]) -> list[RunRecord]:
    """Reads runs, each under a name that tells it from the others.

    Raises:
      UserError: a run whose config is damaged; all else may be missing.
    """
    return [_read(path, name) for path, name in zip(paths, _names(paths), strict=True)]


def _read(path: Path, name: str) -> RunRecord:
    folder, problems = Workdir(path), []

    def attempt(read: Any, what: str) -> Any:
        try:
            return read()
        except (UserError, OSError, ValueError, KeyError, TypeError, EOFError) as error:
            reason = str(error) if isinstance(error, UserError) else f"{what} cannot be read."
            problems.append(reason.replace(f"{path}/", ""))
            return None

    config = folder.config()
    rows = attempt(lambda: read_rows(folder.metrics), "metrics.jsonl") or []
    result = attempt(folder.result, "result.json")
    if not rows:
        problems.append("No numbers of training are there: metrics.jsonl is missing or empty.")
    confusion = None
    if folder.confusion.is_file():
        confusion = attempt(lambda: np.load(folder.confusion), "confusion_matrix.npy")
    elif result is not None:
        problems.append("confusion_matrix.npy is missing.")
    environment = path / "environment.json"
    return RunRecord(
        name=name,
        path=path,
        config=config,
        info=attempt(folder.dataset_info, "dataset.json"),
        rows=rows,
        result=result,
        confusion=confusion,
        starts=attempt(lambda: json.loads(environment.read_text()), "environment.json") or [],
        problems=problems,
    )


def _names(paths: Sequence[Path]) -> list[str]:
    """The ends of paths that are long enough to tell them apart."""
    parts = [path.absolute().parts for path in paths]
    for length in range(1, max(map(len, parts), default=0) + 1):
        names = ["/".join(part[-length:]) for part in parts]
        if len(set(names)) == len(names):
            break
    return names
