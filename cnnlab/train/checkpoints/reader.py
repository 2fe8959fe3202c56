"""Restoring checkpoints, after verifying all of them, without changing anything on disk."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from absl import logging

from cnnlab.errors import UserError
from cnnlab.storage import manifest
from cnnlab.storage.manifest import DamagedError
from cnnlab.train.checkpoints import policy, serialization

FORMAT = 2
# The files of a run that its weights mean nothing without.
_BOUND_FILES = ("config.json", "dataset.json", "examples.npz")


class Restored(NamedTuple):
    """A restored checkpoint: its step, the state, and the meta saved with it."""

    step: int
    state: Any
    meta: dict[str, Any]


class CheckpointReader:
    """The checkpoints of a run, read-only: works on a read-only disk and beside a running training.

    A checkpoint is a folder named by its step: the arrays as Orbax writes them, and a manifest that
    was written last. The manifest holds the SHA-256 of every file, those of the run's config.json,
    dataset.json and examples.npz, the step, the metric, the meta, and the type and shape of each
    array. A folder without a manifest does not count.

    Attributes:
      directory: where the checkpoints lie, `WORKDIR/checkpoints`.
    """

    def __init__(self, workdir: str | Path, *, report: Callable[[str], None] = logging.warning):
        """Opens the checkpoints under `workdir`, which need not exist.

        Args:
          workdir: working directory of the run.
          report: called with a sentence for each damage and each repair.
        """
        self.directory = Path(workdir).absolute() / "checkpoints"
        self._report = report

    def steps(self) -> list[int]:
        """Steps of the finished checkpoints, ascending."""
        return sorted(self._scan()[0])

    def best_step(self) -> int | None:
        """Step with the best metric (of equal ones the latest), or None if none has a metric."""
        infos, _ = self._scan()
        return next(iter(self._ranked(infos)), None)

    def mode(self) -> str | None:
        """`max` or `min`, the better direction of the metric; None where there is no checkpoint."""
        infos, _ = self._scan()
        return infos[max(infos)]["mode"] if infos else None

    def surplus(self, keep: int) -> set[int]:
        """Steps that are neither among the `keep` latest nor the best."""
        infos, _ = self._scan()
        metrics = {step: info["metric"] for step, info in infos.items()}
        return set(metrics) - policy.kept(metrics, keep, self.mode() or "max")

    def restore(
        self, abstract_state: Any, which: Literal["latest", "best"] | int = "latest"
    ) -> Restored:
        """Restores a checkpoint after verifying every file of it.

        If the chosen checkpoint is damaged, that is reported, and the next one is used: for
        "latest" the newest before it, for "best" the next best and then the latest. A step given
        by its number is restored or refused, never replaced.

        Args:
          abstract_state: pytree of `jax.ShapeDtypeStruct` (as of `jax.eval_shape`) or arrays; where
            a leaf has a `sharding`, the restored array gets it. It need not be the one of saving.
          which: "latest", "best", or a step.

        Raises:
          UserError: there is no checkpoint, none without damage, the saved state has other arrays,
            shapes or types than `abstract_state`, or the config or the data description of the run
            are not those that the checkpoint was saved with.
        """
        while True:
            step, info = self._choose(abstract_state, which)
            folder = self._folder(step)
            try:
                state = serialization.read_state(folder, abstract_state, info["leaves"])
            except Exception:
                if folder.exists():
                    raise
                continue  # A running training has just replaced it by a better or later one.
            return Restored(step, state, info["meta"])

    def verify(self, step: int) -> dict[str, Any]:
        """Reads all of checkpoint `step` and compares it with what was saved.

        Returns:
          The `info` of its manifest.

        Raises:
          DamagedError: something differs; the text names the file.
        """
        manifest.check_files(self._folder(step))
        return self._info(step)

    def damage(self) -> dict[int, str]:
        """Verifies all checkpoints; returns what is wrong with the damaged ones, by step."""
        damage = {}
        for step in numbered(self.directory):
            try:
                self.verify(step)
            except DamagedError as error:
                damage[step] = str(error)
        return damage

    def _choose(self, abstract_state: Any, which: Any) -> tuple[int, dict[str, Any]]:
        """The step to restore and the info of its checkpoint, which is undamaged and fits."""
        damage: dict[int, str] = {}
        while True:
            infos, unreadable = self._scan()
            order = self._order(infos, unreadable, which)
            untried = [step for step in order if step not in damage]
            if not untried:
                break
            step = untried[0]
            try:
                info = self.verify(step)
            except DamagedError as error:
                if not self._folder(step).exists():
                    continue  # A running training has replaced it by a better or later one.
                damage[step] = str(error)
                self._report(f"Checkpoint {step} in {self.directory} is damaged: {error}.")
                continue
            self._check_fit(step, info, abstract_state)
            if damage:
                self._report(f"Restored step {step} instead of {listed(damage)}.")
                self._recovered_from(damage)
            if which == "best" and not self._ranked(infos):
                self._report(
                    f"No checkpoint in {self.directory} has a metric; step {step} is the latest."
                )
            return step, info
        if isinstance(which, int) and (infos or unreadable):
            why = f"is damaged: {damage[which]}" if which in damage else "does not exist"
            undamaged = listed(set(numbered(self.directory)) - self.damage().keys())
            raise UserError(
                f"Checkpoint {which} in {self.directory} {why}. Undamaged: {undamaged or 'none'}."
            )
        if damage:
            raise UserError(none_verifies(self.directory, damage))
        raise UserError(f"There is no checkpoint in {self.directory}; run train first.")

    def _check_fit(self, step: int, info: Mapping[str, Any], abstract_state: Any) -> None:
        digests = self._digests()
        for name, accepted in info["files_of_run"].items():
            if digests.get(name) not in accepted:
                state = "differs from" if name in digests else "is missing, unlike"
                raise UserError(
                    f"{self.directory.parent / name} {state} the one that checkpoint {step} was "
                    "saved with: it was edited or damaged, or these are the checkpoints of another "
                    "run. Restore the file, or train in another folder."
                )
        if difference := serialization.misfit(abstract_state, info["leaves"]):
            raise UserError(
                f"Checkpoint {step} in {self.directory} does not fit the model: {difference}."
            )

    def _digests(self) -> dict[str, str]:
        """SHA-256 of those files of the run that a checkpoint is bound to."""
        paths = [self.directory.parent / name for name in _BOUND_FILES]
        return {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in paths
            if path.is_file()
        }

    def _folder(self, step: int) -> Path:
        return self.directory / str(step)

    def _info(self, step: int) -> dict[str, Any]:
        info = manifest.read_info(self._folder(step))
        if info["format"] != FORMAT:
            raise DamagedError(f"its format is {info['format']}; this version reads {FORMAT}")
        if info["step"] != step:
            raise DamagedError(f"it holds step {info['step']}, under the name of {step}")
        return info

    def _scan(self) -> tuple[dict[int, dict[str, Any]], dict[int, str]]:
        """Infos of the readable checkpoints, and what is wrong with the others, by step.

        From the disk each time: what others do to the folders is seen, and nothing goes stale.
        """
        infos, unreadable = {}, {}
        for step in numbered(self.directory):
            try:
                infos[step] = self._info(step)
            except DamagedError as error:
                unreadable[step] = str(error)
        return infos, unreadable

    def _ranked(self, infos: Mapping[int, Mapping[str, Any]]) -> list[int]:
        if not infos:
            return []
        metrics = {step: info["metric"] for step, info in infos.items()}
        return policy.ranked(metrics, infos[max(infos)]["mode"])

    def _order(
        self, infos: Mapping[int, Mapping[str, Any]], unreadable: Mapping[int, str], which: Any
    ) -> list[int]:
        """Steps in the order in which to try them."""
        newest_first = sorted([*infos, *unreadable], reverse=True)
        if isinstance(which, int):
            return [step for step in newest_first if step == which]
        if which == "latest":
            return newest_first
        if which != "best":
            raise UserError(f"Cannot restore {which!r}; ask for 'latest', 'best' or a step.")
        # Those whose metric cannot be read might have been the best: they are named, then passed.
        best_first = [*sorted(unreadable, reverse=True), *self._ranked(infos)]
        return best_first + [step for step in newest_first if step not in best_first]

    def _recovered_from(self, damage: Mapping[int, str]) -> None:
        """Called when another than these damaged ones was restored; a reader does nothing."""


def numbered(directory: Path) -> list[int]:
    """Returns the numbers of folders that are named like checkpoints, ascending."""
    try:
        names = [path.name for path in directory.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    decimal = [int(name) for name in names if name.isascii() and name.isdecimal()]
    return sorted(step for step in decimal if str(step) in names)


def listed(steps: Iterable[int]) -> str:
    """Formats steps for a sentence: "10, 20"."""
    return ", ".join(str(step) for step in sorted(steps))


def none_verifies(directory: Path, damage: Mapping[int, str]) -> str:
    """Message if every checkpoint is damaged, with the reason for each."""
    reasons = "; ".join(f"{step}: {why}" for step, why in sorted(damage.items(), reverse=True))
    return (
        f"All checkpoints in {directory} are damaged ({reasons}). Nothing was changed; move the "
        "directory away to train anew."
    )
