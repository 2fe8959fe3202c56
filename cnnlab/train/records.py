"""Writes and reads the numbers of a run: JSON lines, and TensorBoard events."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from tensorboardX import SummaryWriter

from cnnlab.train.whole_file import whole_file

Row = dict[str, Any]

# Numbers of a row that depend on the clock; all others are the same whenever a run is repeated.
CLOCKED = frozenset({"images_per_second", "input_wait"})


class Records:
    """Appends rows to metrics.jsonl and TensorBoard.

    A row holds `step`, `epoch`, `split` (train, validation or test) and numbers; of training also
    `images_per_second`, and `input_wait`, the share of the time since the last row in which the
    devices had nothing to do because their input was not there yet. Every row is flushed, so that
    a killed run has lost none that a checkpoint relies on.
    """

    def __init__(self, metrics: Path, tensorboard: Path, *, after_step: int = 0):
        """Opens the files for a run that continues after `after_step`; later rows are dropped."""
        rows = [row for row in read_rows(metrics) if row["step"] <= after_step]
        self._written = {(row["step"], row["split"]) for row in rows}
        with whole_file(metrics) as temporary:
            temporary.write_text("".join(json.dumps(row) + "\n" for row in rows))
        self._file = open(metrics, "a")  # noqa: SIM115 (closed by close)
        # A writer that resumes hides the events after its first step.
        self._events = SummaryWriter(str(tensorboard), purge_step=after_step + 1)

    def write(self, row: Row) -> None:
        """Appends one row, unless that split has one at that step already.

        A run that was killed after its last evaluation computes the same numbers again.
        """
        if (row["step"], row["split"]) in self._written:
            return
        self._written.add((row["step"], row["split"]))
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()
        for name, value in row.items():
            if isinstance(value, (int, float)) and name not in ("step", "epoch"):
                self._events.add_scalar(f"{row['split']}/{name}", value, row["step"])

    def picture(self, name: str, pixels: np.ndarray, step: int) -> None:
        """Adds a picture, uint8 [height, width, 3], to TensorBoard."""
        self._events.add_image(name, pixels, step, dataformats="HWC")

    def flush(self) -> None:
        """Hands the TensorBoard events to the system as well."""
        self._events.flush()

    def close(self) -> None:
        """Closes both files."""
        self._file.close()
        self._events.close()


class NoRecords:
    """What the hosts have that write nothing."""

    def write(self, row: Row) -> None:
        pass

    def picture(self, name: str, pixels: np.ndarray, step: int) -> None:
        pass

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass


def read_rows(metrics: Path) -> list[Row]:
    """Rows of a metrics.jsonl; a last line that a killed run left unfinished is skipped."""
    rows = []
    if metrics.is_file():
        for line in metrics.read_text().splitlines():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:
                break
    return rows


def finite(numbers: dict[str, float]) -> dict[str, float | None]:
    """Replaces NaN and infinities, which JSON does not know, by None."""
    return {name: value if math.isfinite(value) else None for name, value in numbers.items()}
