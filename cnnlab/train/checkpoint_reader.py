"""Restoring checkpoints, after verifying all of them, without changing anything on disk."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import orbax.checkpoint as ocp
from absl import logging

from cnnlab.errors import UserError
from cnnlab.train import digest, manifest, retention
from cnnlab.train.checkpoint_record import read_record
from cnnlab.train.manifest import DamagedError

# Whatever bytes a damaged checkpoint without a manifest holds, reading them must not end a run:
# these are what Orbax, its JSON and its array store may make of such bytes.
_UNREADABLE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


class Restored(NamedTuple):
    """A restored checkpoint: its step, the state, and the meta saved with it."""

    step: int
    state: Any
    meta: dict[str, Any]


class CheckpointReader:
    """The checkpoints of a run, read-only: works on a read-only disk and beside a running training.

    Attributes:
      directory: where the checkpoints lie, `WORKDIR/checkpoints`.
    """

    def __init__(self, workdir: str | Path, *, report: Callable[[str], None] = logging.warning):
        """Opens the checkpoints under `workdir`, which need not exist.

        Args:
          workdir: working directory of the run.
          report: is told, a sentence at a time, of damage and of what was done about it.
        """
        self.directory = Path(workdir).absolute() / "checkpoints"
        self._report = report

    def steps(self) -> list[int]:
        """Steps of the finished checkpoints, ascending."""
        return sorted(self._scan()[0])

    def best_step(self) -> int | None:
        """Step with the best metric (of equal ones the latest), or None where none has a metric."""
        records, _ = self._scan()
        return next(iter(self._ranked(records)), None)

    def restore(
        self, abstract_state: Any, which: Literal["latest", "best"] | int = "latest"
    ) -> Restored:
        """Restores a checkpoint after verifying all of it: every file, then every array.

        Where the chosen checkpoint is damaged, that is reported, and the next one is taken: for
        "latest" the newest before it, for "best" the next best and then the latest. A step asked
        for by its number is restored or refused, never replaced.

        Args:
          abstract_state: pytree of `jax.ShapeDtypeStruct` (as of `jax.eval_shape`) or arrays; where
            a leaf has a `sharding`, the restored array gets it. It need not be the one of saving.
          which: "latest", "best", or a step.

        Raises:
          UserError: there is no checkpoint, none without damage, or the saved state has other
            arrays, shapes or types than `abstract_state`.
        """
        damage: dict[int, str] = {}
        while True:
            records, unreadable = self._scan()
            order = self._order(records, unreadable, which)
            untried = [step for step in order if step not in damage]
            if not untried:
                break
            step = untried[0]
            try:
                restored = self._load(step, abstract_state)
            except DamagedError as error:
                if not self._folder(step).exists():
                    continue  # A running training has replaced it by a better or later one.
                damage[step] = str(error)
                self._report(f"Checkpoint {step} in {self.directory} is damaged: {error}.")
                continue
            if damage:
                self._report(f"Restored step {step} instead of {listed(damage)}.")
                self._recovered_from(damage)
            if which == "best" and not self._ranked(records):
                self._report(
                    f"No checkpoint in {self.directory} has a metric; step {step} is the latest."
                )
            return restored
        if isinstance(which, int) and (records or unreadable):
            why = f"is damaged: {damage[which]}" if which in damage else "does not exist"
            raise UserError(
                f"Checkpoint {which} in {self.directory} {why}. "
                f"Undamaged: {listed(self._undamaged()) or 'none'}."
            )
        if damage:
            raise UserError(none_verifies(self.directory, damage))
        raise UserError(f"There is no checkpoint in {self.directory}; run train first.")

    def verify(self, step: int) -> None:
        """Reads all of checkpoint `step` and compares it with what was saved.

        Raises:
          DamagedError: something differs; the text names the file or array.
        """
        record = self._check(step)
        self._arrays(step, record)

    def _folder(self, step: int) -> Path:
        return self.directory / str(step)

    def _scan(self) -> tuple[dict[int, dict[str, Any]], dict[int, str]]:
        """Records of the readable checkpoints, and what is wrong with the others, by step.

        From the disk each time: what others do to the folders is seen, and nothing goes stale.
        """
        records, unreadable = {}, {}
        for step in numbered(self.directory):
            try:
                records[step] = read_record(self._folder(step) / "record" / "metadata", step)
            except DamagedError as error:
                unreadable[step] = str(error)
        return records, unreadable

    def _ranked(self, records: Mapping[int, Mapping[str, Any]]) -> list[int]:
        if not records:
            return []
        metrics = {step: record["metric"] for step, record in records.items()}
        return retention.ranked(metrics, records[max(records)]["mode"])

    def _order(
        self, records: Mapping[int, Mapping[str, Any]], unreadable: Mapping[int, str], which: Any
    ) -> list[int]:
        """Steps in the order in which to try them."""
        newest_first = sorted([*records, *unreadable], reverse=True)
        if isinstance(which, int):
            return [step for step in newest_first if step == which]
        if which == "latest":
            return newest_first
        if which != "best":
            raise UserError(f"Cannot restore {which!r}; ask for 'latest', 'best' or a step.")
        # Those whose metric cannot be read might have been the best: they are named, then passed.
        best_first = [*sorted(unreadable, reverse=True), *self._ranked(records)]
        return best_first + [step for step in newest_first if step not in best_first]

    def _check(self, step: int) -> dict[str, Any]:
        """Verifies the files where there is a manifest, and the record; returns the record."""
        folder = self._folder(step)
        if manifest.is_sealed(folder):
            manifest.check_files(folder)
        return read_record(folder / "record" / "metadata", step)

    def _arrays(self, step: int, record: Mapping[str, Any]) -> dict[str, np.ndarray]:
        described = record["leaves"]
        path = self._folder(step) / "state"
        try:
            # The handler itself: a manager or checkpointer would trust, or wait for, other folders.
            arrays = ocp.StandardCheckpointHandler().restore(path, args=ocp.args.StandardRestore())
        except _UNREADABLE as error:
            cause = str(error).split("\n")[0][:200]
            raise DamagedError(f"its arrays cannot be read ({cause})") from error
        arrays = {**arrays, **digest.empty_arrays(described)}
        digest.check_arrays(arrays, described)
        return arrays

    def _load(self, step: int, abstract_state: Any) -> Restored:
        record = self._check(step)
        if difference := digest.misfit(abstract_state, record["leaves"]):
            raise UserError(
                f"Checkpoint {step} in {self.directory} does not fit the model: {difference}."
            )
        arrays = self._arrays(step, record)
        state = digest.to_state(abstract_state, arrays, record["leaves"])
        return Restored(step, state, record["meta"])

    def _undamaged(self) -> list[int]:
        undamaged = []
        for step in numbered(self.directory):
            try:
                self.verify(step)
            except DamagedError:
                continue
            undamaged.append(step)
        return undamaged

    def _recovered_from(self, damage: Mapping[int, str]) -> None:
        """Called when another than these damaged ones was restored; a reader does nothing."""


def numbered(directory: Path) -> list[int]:
    """Numbers of the folders that are named as checkpoints, whatever they hold; ascending."""
    try:
        names = [path.name for path in directory.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    decimal = [int(name) for name in names if name.isascii() and name.isdecimal()]
    return sorted(step for step in decimal if str(step) in names)


def listed(steps: Iterable[int]) -> str:
    """Steps in a sentence: "10, 20"."""
    return ", ".join(str(step) for step in sorted(steps))


def none_verifies(directory: Path, damage: Mapping[int, str]) -> str:
    """The sentence to end with where every checkpoint is damaged, each for the reason given."""
    reasons = "; ".join(f"{step}: {why}" for step, why in sorted(damage.items(), reverse=True))
    return (
        f"All checkpoints in {directory} are damaged ({reasons}). Nothing was changed; move the "
        "directory away to train anew."
    )
