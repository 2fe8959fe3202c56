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
    """Base class of displays, which shows nothing."""

    def note(self, text: str) -> None:
        """Shows a line of text."""

    def on_note(self, run: RunView, text: str) -> None:
        self.note(text)


class PlainDisplay(Display):
    """One line per event, for logs.

    Args:
      path: file to which the lines are appended; None prints them.
    """

    def __init__(self, path: Path | None = None):
        self._path = path

    def note(self, text: str) -> None:
        if self._path is None:
            print(text, flush=True)
        else:
            with self._path.open("a", errors="backslashreplace") as log:
                print(text, file=log)

    def on_start(self, run: RunView) -> None:
        self._began, self._first = time.monotonic(), run.step

    def on_log(self, run: RunView, row: Row) -> None:
        step, total = row["step"], run.total_steps
        left = (time.monotonic() - self._began) / max(step - self._first, 1) * (total - step)
        self.note(
            f"step {step}/{total}  epoch {row['epoch']:.2f}  {_numbers(row, run.metric)}  "
            f"{_speed(row)}  {left // 60:.0f}:{left % 60:02.0f} left"
        )

    def on_evaluation(self, run: RunView, row: Row) -> None:
        star = "  (best so far)" if run.best_step == row["step"] else ""
        numbers = _numbers(row, run.metric)
        self.note(f"step {row['step']}/{run.total_steps}  {row['split']}: {numbers}{star}")


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

    def on_start(self, run: RunView) -> None:
        self._task = self._progress.add_task(
            "training", completed=run.step, total=run.total_steps, numbers="compiling"
        )
        self._progress.start()

    def on_progress(self, run: RunView) -> None:
        # The first step ends the compilation; there is nothing to say until the first numbers.
        self._progress.update(self._task, completed=run.step)
        if self._compiling:
            self._compiling = False
            self._progress.update(self._task, numbers="")

    def on_log(self, run: RunView, row: Row) -> None:
        self._progress.update(
            self._task,
            completed=row["step"],
            numbers=f"{_numbers(row, run.metric)}  {_speed(row)}",
        )

    def on_evaluation(self, run: RunView, row: Row) -> None:
        star = " [green]best so far[/green]" if run.best_step == row["step"] else ""
        self._progress.update(self._task, completed=row["step"])
        self._progress.console.print(
            f"epoch {row['epoch']:6.2f}  {row['split']} {_numbers(row, run.metric)}{star}",
            highlight=False,
        )

    def on_end(self, run: RunView, result: dict[str, Any] | None) -> None:
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
