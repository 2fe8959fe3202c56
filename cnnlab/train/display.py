"""What a person sees of a run: a live display on a terminal, plain lines elsewhere."""

import sys
import time
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cnnlab.train.records import Row


class Display(Protocol):
    """What the training loop tells its audience."""

    def note(self, text: str) -> None:
        """Something worth a line."""

    def start(self, step: int, total_steps: int) -> None:
        """Training goes on after `step` updates."""

    def progress(self, step: int) -> None:
        """Training has come to `step`; told about twice a second, or after each slower step."""

    def train(self, row: Row) -> None:
        """New training numbers."""

    def evaluation(self, row: Row, *, best: bool) -> None:
        """New numbers of an evaluation; `best` if they are the best so far."""

    def stop(self) -> None:
        """Training is over."""


class PlainDisplay:
    """One line per event, for logs."""

    def __init__(self) -> None:
        self._total = 0
        self._started = (0.0, 0)

    def note(self, text: str) -> None:
        print(text, flush=True)

    def start(self, step: int, total_steps: int) -> None:
        self._total = total_steps
        self._started = (time.monotonic(), step)

    def progress(self, step: int) -> None:
        pass

    def train(self, row: Row) -> None:
        print(
            f"step {row['step']}/{self._total}  epoch {row['epoch']:.2f}  {_numbers(row)}  "
            f"{_speed(row)}  {self._time_left(row['step'])} left",
            flush=True,
        )

    def evaluation(self, row: Row, *, best: bool) -> None:
        star = "  (best so far)" if best else ""
        print(
            f"step {row['step']}/{self._total}  {row['split']}: {_numbers(row)}{star}", flush=True
        )

    def stop(self) -> None:
        pass

    def _time_left(self, step: int) -> str:
        began, first = self._started
        seconds = (time.monotonic() - began) / max(step - first, 1) * (self._total - step)
        return f"{seconds // 60:.0f}:{seconds % 60:02.0f}"


class Silence:
    """Nothing, for the hosts of a run of which another one tells."""

    def note(self, text: str) -> None:
        pass

    def start(self, step: int, total_steps: int) -> None:
        pass

    def progress(self, step: int) -> None:
        pass

    def train(self, row: Row) -> None:
        pass

    def evaluation(self, row: Row, *, best: bool) -> None:
        pass

    def stop(self) -> None:
        pass


class LiveDisplay:
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
            self._task, completed=row["step"], numbers=f"{_numbers(row)}  {_speed(row)}"
        )

    def evaluation(self, row: Row, *, best: bool) -> None:
        star = " [green]best so far[/green]" if best else ""
        self._progress.update(self._task, completed=row["step"])
        self._progress.console.print(
            f"epoch {row['epoch']:6.2f}  {row['split']} {_numbers(row)}{star}", highlight=False
        )

    def stop(self) -> None:
        self._progress.stop()


def make_display() -> Display:
    """The live display on a terminal, plain lines when the output goes elsewhere."""
    return LiveDisplay() if sys.stdout.isatty() else PlainDisplay()


def _speed(row: Row) -> str:
    """Images per second, and how much of the time training waited for its input."""
    percent = round(100 * row.get("input_wait", 0.0))
    bound = f"  input-bound {percent} %" if percent else ""
    return f"{row['images_per_second']:.0f} images/s{bound}"


def _numbers(row: Row) -> str:
    parts = []
    if row.get("loss") is not None:
        parts.append(f"loss {row['loss']:.4f}")
    if row.get("accuracy") is not None:
        parts.append(f"accuracy {100 * row['accuracy']:.2f} %")
    return "  ".join(parts)
