"""Progress of a run: a live display on a terminal, plain lines elsewhere."""

import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cnnlab.tasks.words import metric_words, show_score
from cnnlab.train.callbacks.base import Callback, Row, RunView


class Display(Callback):
    """Base class of displays, which shows nothing.

    Attributes:
      metric: name of the metric that picks the best checkpoint, once the run has started.
    """

    metric = ""

    def note(self, text: str) -> None:
        """Shows a line of text."""

    def start(self, step: int, total_steps: int) -> None:
        """Called when training starts after `step` updates."""

    def progress(self, step: int) -> None:
        """Called when training has reached `step`."""

    def train(self, row: Row) -> None:
        """Called with new training metrics."""

    def evaluation(self, row: Row, *, best: bool) -> None:
        """Called with metrics of an evaluation; `best` if they are the best so far."""

    def stop(self) -> None:
        """Called when training ends."""

    def on_note(self, run: RunView, text: str) -> None:
        self.note(text)

    def on_start(self, run: RunView) -> None:
        self.metric = run.metric
        self.start(run.step, run.total_steps)

    def on_progress(self, run: RunView) -> None:
        self.progress(run.step)

    def on_log(self, run: RunView, row: Row) -> None:
        self.train(row)

    def on_evaluation(self, run: RunView, row: Row) -> None:
        self.evaluation(row, best=run.best_step == row["step"])

    def on_end(self, run: RunView, result: dict[str, Any] | None) -> None:
        self.stop()


class PlainDisplay(Display):
    """One line per event, for logs.

    Args:
      path: file to which the lines are appended; None prints them.
    """

    def __init__(self, path: Path | None = None):
        self._path = path
        self._total = 0
        self._started = (0.0, 0)

    def note(self, text: str) -> None:
        if self._path is None:
            print(text, flush=True)
        else:
            with self._path.open("a", errors="backslashreplace") as log:
                print(text, file=log)

    def start(self, step: int, total_steps: int) -> None:
        self._total = total_steps
        self._started = (time.monotonic(), step)

    def train(self, row: Row) -> None:
        self.note(
            f"step {row['step']}/{self._total}  epoch {row['epoch']:.2f}  "
            f"{_numbers(row, self.metric)}  {_speed(row)}  {self._time_left(row['step'])} left"
        )

    def evaluation(self, row: Row, *, best: bool) -> None:
        star = "  (best so far)" if best else ""
        self.note(
            f"step {row['step']}/{self._total}  {row['split']}: {_numbers(row, self.metric)}{star}"
        )

    def _time_left(self, step: int) -> str:
        began, first = self._started
        seconds = (time.monotonic() - began) / max(step - first, 1) * (self._total - step)
        return f"{seconds // 60:.0f}:{seconds % 60:02.0f}"


class Silence(Display):
    """Shows nothing, replacing the lines that `fit` prints by default."""


class LiveDisplay(Display):
    """A progress bar that stays on the last line, above it a line for each evaluation."""

    def __init__(self, console: Console | None = None) -> None:
        self._progress = Progress(
            BarColumn(bar_width=12),
            MofNCompleteColumn(),
            TextColumn("{task.fields[numbers]}"),
            TimeRemainingColumn(),
            console=console or Console(),
        )
        self._task = None
        self._compiling = True

    def note(self, text: str) -> None:
        self._progress.console.print(text, highlight=False, markup=False)

    def start(self, step: int, total_steps: int) -> None:
        self._task = self._progress.add_task(
            "training", completed=step, total=total_steps, numbers="compiling"
        )
        self._progress.start()

    def progress(self, step: int) -> None:
        # The first step ends the compilation; there is nothing to say until the first numbers.
        self._progress.update(self._task, completed=step)
        if self._compiling:
            self._compiling = False
            self._progress.update(self._task, numbers="")

    def train(self, row: Row) -> None:
        self._progress.update(
            self._task,
            completed=row["step"],
            numbers=f"{_numbers(row, self.metric)}  {_speed(row)}",
        )

    def evaluation(self, row: Row, *, best: bool) -> None:
        star = " [green]best so far[/green]" if best else ""
        self._progress.update(self._task, completed=row["step"])
        self._progress.console.print(
            f"epoch {row['epoch']:6.2f}  {row['split']} {_numbers(row, self.metric)}{star}",
            highlight=False,
        )

    def stop(self) -> None:
        self._progress.stop()


def make_display(terminal: Console | None = None) -> Display:
    """Returns the live display for a terminal, or plain lines for other output."""
    return LiveDisplay(terminal) if sys.stdout.isatty() else PlainDisplay()


def _speed(row: Row) -> str:
    """Images per second, and the share of time spent waiting for input."""
    percent = round(100 * row.get("input_wait", 0.0))
    bound = f"  input-bound {percent} %" if percent else ""
    return f"{row['images_per_second']:.0f} images/s{bound}"


def _numbers(row: Row, metric: str) -> str:
    """Loss, accuracy or F1, and the metric that picks the best checkpoint, where the row has them.

    An accuracy of pixels is left out where another metric decides.
    """
    names = ["loss", "accuracy" if "accuracy" in row else "f1"]
    if metric in row:
        names = ["loss", metric] if metric != "loss" else names
    return "  ".join(f"{metric_words(n)} {show_score(row[n], n)}" for n in names if n in row)
