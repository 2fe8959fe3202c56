"""Writes rows and pictures as TensorBoard events."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cnnlab.train.callbacks.base import Callback, Row, RunView

if TYPE_CHECKING:
    from tensorboardX import SummaryWriter


def open_events(workdir: Path, after_step: int = 0) -> "SummaryWriter":
    """Opens the events of a run that continues after `after_step`; later events are hidden."""
    from tensorboardX import SummaryWriter  # slow, and of no use to commands that do not train

    # A writer that resumes hides the events after its first step.
    return SummaryWriter(str(workdir / "tensorboard"), purge_step=after_step + 1)


def add_row(events: "SummaryWriter", row: Row) -> None:
    """Adds the metrics of a row."""
    for name, value in row.items():
        if isinstance(value, (int, float)) and name not in ("step", "epoch"):
            events.add_scalar(f"{row['split']}/{name}", value, row["step"])


class TensorBoard(Callback):
    """Events in the folder `tensorboard` of the run."""

    def on_start(self, run: RunView) -> None:
        self._events = open_events(run.workdir, run.step)

    def on_log(self, run: RunView, row: Row) -> None:
        add_row(self._events, row)

    def on_evaluation(self, run: RunView, row: Row) -> None:
        add_row(self._events, row)
        self._events.flush()

    def on_test(self, run: RunView, row: Row) -> None:
        add_row(self._events, row)
        self._events.flush()

    def on_image(self, run: RunView, name: str, pixels: np.ndarray) -> None:
        self._events.add_image(name, pixels, run.step, dataformats="HWC")
        self._events.flush()

    def on_end(self, run: RunView, result: dict[str, Any] | None) -> None:
        self._events.close()
