"""Writes and reads the rows of a run as JSON lines."""

import json
import math
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cnnlab.errors import UserError
from cnnlab.storage import checksums
from cnnlab.storage.atomic_write import atomic_write
from cnnlab.storage.json_text import parse_json, read_bytes
from cnnlab.train.callbacks.base import Callback, Row, RunView

# Numbers of a row that depend on the clock; all others are the same whenever a run is repeated.
CLOCKED = frozenset({"images_per_second", "input_wait"})


def warn(sentence: str) -> None:
    """Prints a warning to standard error."""
    print(f"warning: {sentence}", file=sys.stderr)


class MetricsFile:
    """Appends rows to a metrics.jsonl.

    A row holds `step`, `epoch`, `split` (train, validation or test) and numbers; of training also
    `images_per_second`, and `input_wait`, the share of the time since the last row in which the
    devices had nothing to do because their input was not there yet. Every row is flushed, so that
    a killed run has lost none that a checkpoint relies on.
    """

    def __init__(
        self,
        path: Path,
        *,
        after_step: int = 0,
        report: Callable[[str], None] = warn,
    ):
        """Opens the file of a run that continues after `after_step`; later rows are dropped.

        Of a file that was edited or damaged a copy is kept, and its readable rows are taken.

        Args:
          path: path of the file.
          after_step: step of the checkpoint.
          report: receives a sentence about damage.
        """
        told: list[str] = []
        rows = [row for row in read_rows(path, report=told.append) if row["step"] <= after_step]
        self._written = {(row["step"], row["split"]) for row in rows}
        for sentence in told:
            report(sentence)
        if told and path.is_file():
            copy = path.with_suffix(".damaged.jsonl")
            shutil.copy(path, copy)
            report(f"What is readable of {path.name} is kept, and a copy as it was: {copy}.")
        checksums.forget(path)
        with atomic_write(path) as temporary:
            temporary.write_text("".join(json.dumps(row) + "\n" for row in rows))
        self._path = path
        self.protect()
        self._file = open(path, "a")  # noqa: SIM115 (closed by close)

    def protect(self) -> None:
        """From now on, a change of what has been written so far is noticed."""
        checksums.record(self._path)

    def write(self, row: Row) -> None:
        """Appends one row, unless that split has one at that step already.

        A run that was killed after an evaluation computes the same numbers again.
        """
        if (row["step"], row["split"]) in self._written:
            return
        self._written.add((row["step"], row["split"]))
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


class JsonLines(Callback):
    """Rows in the file metrics.jsonl of the run."""

    _file: MetricsFile | None = None

    def on_start(self, run: RunView) -> None:
        path = run.workdir / "metrics.jsonl"
        self._file = MetricsFile(path, after_step=run.step, report=run.note)

    def on_log(self, run: RunView, row: Row) -> None:
        self._file.write(row)

    def on_evaluation(self, run: RunView, row: Row) -> None:
        self._file.write(row)

    def on_test(self, run: RunView, row: Row) -> None:
        self._file.write(row)
        self._file.protect()

    def on_checkpoint(self, run: RunView, step: int) -> None:
        self._file.protect()

    def on_end(self, run: RunView, result: dict[str, Any] | None) -> None:
        if self._file is not None:  # else it could not be opened
            self._file.close()


def read_rows(metrics: Path, *, report: Callable[[str], None] = warn) -> list[Row]:
    """Rows of a metrics.jsonl; a last line that a killed run left unfinished is skipped.

    Args:
      metrics: path of the file, which need not be there.
      report: receives a sentence where lines cannot be read, or where the file is not as the run
        left it; the readable rows are returned all the same.
    """
    if not metrics.exists():
        if checksums.is_recorded(metrics):
            report(f"{metrics} is missing.")
        return []
    try:
        data = read_bytes(metrics)
    except UserError as error:
        report(str(error))
        return []
    lines = data.split(b"\n")[:-1]
    rows, damaged = [], []
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(_row(parse_json(line, f"line {number} of {metrics}")))
        except UserError:
            damaged.append(str(number))
    if damaged:
        some = ", ".join(damaged[:5]) + (f" and {len(damaged) - 5} more" if damaged[5:] else "")
        report(f"{metrics} is damaged: line {some} of {len(lines)} cannot be read.")
        return rows
    try:
        checksums.checked(metrics, data, grows=True)
    except UserError as error:
        report(str(error))
    return rows


def _row(row: Row) -> Row:
    """The row, if it has what all rows have; raises a `UserError` otherwise."""
    numbers = {name: value for name, value in row.items() if name != "split"}
    if (
        type(row.get("step")) is not int
        or not isinstance(row.get("split"), str)
        or not isinstance(row.get("epoch"), (int, float))
        or not all(value is None or type(value) in (int, float) for value in numbers.values())
    ):
        raise UserError("This is no row of a metrics.jsonl.")
    return row


def finite(numbers: dict[str, float]) -> dict[str, float | None]:
    """Replaces NaN and infinities, which JSON does not know, by None."""
    return {name: value if math.isfinite(value) else None for name, value in numbers.items()}
