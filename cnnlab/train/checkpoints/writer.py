"""Checkpoints that are saved in the background and verified before they are restored.

The training loop uses `CheckpointWriter`, which saves, keeps the latest and the best checkpoints,
and repairs the folder of a killed run. Evaluation and prediction use `CheckpointReader`, which
changes nothing on disk.

Orbax writes each checkpoint under a temporary name and renames it when it is complete; on several
hosts, each writes its own part of the arrays. This module adds three guarantees. Orbax restores a
flipped bit as a wrong weight, so a manifest with digests is written before the rename: checkpoint
and manifest appear in one step. Orbax cannot recover from a damaged checkpoint; here the newest
undamaged one is restored, and the damage is reported. Orbax takes any folder with a number for a
checkpoint; here a folder without a manifest does not count.

On disk, `WORKDIR/checkpoints` holds a folder per step; `damaged` and `superseded` hold checkpoints
that were moved aside. A saved checkpoint is deleted only when later or better ones replace it.
"""

import contextlib
import errno
import functools
import hashlib
import itertools
import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import orbax.checkpoint as ocp
from absl import logging

from cnnlab.errors import UserError
from cnnlab.storage import manifest
from cnnlab.train.checkpoints import serialization
from cnnlab.train.checkpoints.reader import (
    FORMAT,
    CheckpointReader,
    Restored,
    listed,
    none_verifies,
    numbered,
)
from cnnlab.train.runtime import hosts
from cnnlab.train.runtime.lock import hold

__all__ = ["CheckpointReader", "CheckpointWriter", "Restored"]

_DAMAGED = "damaged"
_SUPERSEDED = "superseded"
_DELETED = ".deleted"
_LOCK = ".lock"
_TEMPORARY = ".orbax-checkpoint-tmp"
# Patterns of the files that a killed process can leave.
REMAINS = (f"*{_TEMPORARY}*", _DELETED)
# Orbax writes these after the manifest, and nothing reads them.
_NOTES_OF_ORBAX = ("_CHECKPOINT_METADATA", "commit_success.txt")


class _Save(NamedTuple):
    """A save in progress: its step, the `info` of its manifest, and the size of its arrays."""

    step: int
    info: dict[str, Any]
    bytes: int


class CheckpointWriter(CheckpointReader):
    """The checkpoints of a run that is being trained; use it in a `with` statement.

    `save` copies the state to the host and returns; a background thread writes files and digests. A
    replaced checkpoint is removed only when the later one is complete and flushed to the disk.

    On several hosts, all call every method alike and share the folder. The first host holds the
    lock, writes manifests and removes checkpoints; each host writes and reads its own parts of the
    arrays. An error on the first host ends all of them.
    """

    def __init__(
        self,
        workdir: str | Path,
        *,
        keep: int = 2,
        mode: Literal["max", "min"] = "max",
        report: Callable[[str], None] = logging.warning,
    ):
        """Opens `workdir` for one training, and repairs it after an earlier one that was killed.

        Removes half-written and surplus checkpoints, and moves damaged, empty and foreign step
        folders to `damaged`. Everything but the removal of surplus checkpoints is reported.

        Args:
          workdir: working directory of the run; created if missing.
          keep: number of the latest checkpoints to keep besides the best one, at least 1. With 1,
            there is no other checkpoint to fall back to.
          mode: "max" if a greater metric is better, "min" if a smaller one is.
          report: called with a sentence for each damage and each repair.

        Raises:
          UserError: another process is writing there, the directory cannot be written or is not
            shared by the hosts, or all checkpoints are damaged (they are left unchanged).
        """
        super().__init__(workdir, report=report)
        if keep < 1:
            raise UserError(f"keep must be at least 1, not {keep}.")
        if mode not in ("max", "min"):
            raise UserError(f"mode must be 'max' or 'min', not {mode!r}.")
        self._keep, self._mode = keep, mode
        self._pending: _Save | None = None
        logging.get_absl_logger().addFilter(_is_not_logged_twice)
        if not isinstance(sys.unraisablehook, _WithoutLateWrites):
            sys.unraisablehook = _WithoutLateWrites(sys.unraisablehook)
        with contextlib.ExitStack() as resources:
            if hosts.is_first():
                try:
                    self.directory.mkdir(parents=True, exist_ok=True)
                    resources.enter_context(hold(self.directory / _LOCK))
                    self._mend()
                except OSError as error:
                    raise UserError(
                        f"Cannot write checkpoints to {self.directory}: {error}."
                    ) from error
            hosts.from_first(lambda: None)
            if not self.directory.is_dir():
                raise UserError(
                    f"This host does not see {self.directory}, which the first host has created: "
                    "choose a workdir that all hosts share."
                )
            self._checkpointer = ocp.AsyncCheckpointer(
                ocp.PyTreeCheckpointHandler(),
                async_options=ocp.options.AsyncOptions(
                    post_finalization_callback=self._seal,
                    # Its signals are shared by the process, in which many runs may save at once.
                    create_directories_asynchronously=False,
                ),
            )
            resources.callback(self._checkpointer.close)
            self._resources = resources.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def steps(self) -> list[int]:
        return hosts.from_first(super().steps)

    def save(
        self,
        step: int,
        state: Any,
        *,
        meta: Mapping[str, Any] | None = None,
        metric: float | None = None,
    ) -> bool:
        """Saves `state` in the background; on return its buffers may be donated or overwritten.

        First waits for the previous save, if that is still being written. If there are checkpoints
        of later steps (the run went back to an earlier one), they are moved to `superseded`.

        Args:
          step: number of updates of the state.
          state: pytree of arrays, scalars and typed random keys.
          meta: values that JSON can hold, returned by `restore`.
          metric: metric that decides which checkpoint is best; None leaves this one out.

        Returns:
          False if this step had been saved before, and nothing was done.

        Raises:
          UserError: the previous save failed or the disk is full (this one has not begun), or
            `meta` is not JSON.
        """
        self.wait()
        if hosts.from_first(self._folder(step).exists):
            return False
        try:
            # A copy, in the form in which it will be read.
            meta = json.loads(json.dumps(meta or {}))
        except TypeError as error:
            raise UserError(f"The meta of a checkpoint must be JSON: {error}.") from error
        arrays, described = serialization.named_arrays(state)
        info = {
            "format": FORMAT,
            "step": step,
            "metric": None if metric is None else float(metric),
            "mode": self._mode,
            "meta": meta,
            "leaves": described,
            "files_of_run": {name: [digest] for name, digest in self._bound.items()},
        }
        self._pending = _Save(step, info, sum(array.nbytes for array in arrays.values()))
        with self._failures_as_user_errors():
            if hosts.is_first():
                self._check_space()
                self._supersede(step)
            self._checkpointer.save(self._folder(step), args=ocp.args.PyTreeSave(arrays))
        return True

    def check_for_errors(self) -> None:
        """Raises the error of the last save if it has failed; does not wait.

        Afterwards, saving works again as soon as the cause is gone.

        Raises:
          UserError: the disk is full or cannot be written; names path, step and free space.
        """
        with self._failures_as_user_errors():
            self._checkpointer.check_for_errors()

    def wait(self) -> None:
        """Waits until the last save is on the disk, and removes the checkpoints that it replaces.

        Raises:
          UserError: as `check_for_errors`.
        """
        if self._pending is None:
            return
        with self._failures_as_user_errors():
            self._checkpointer.wait_until_finished()
            self._pending = None
            if hosts.is_first():
                manifest.flush(self.directory)
                self._remove_replaced()

    def close(self) -> None:
        """Waits for the last save and releases the directory.

        Raises:
          UserError: as `check_for_errors`.
        """
        with self._resources:
            self.wait()

    def restore(
        self, abstract_state: Any, which: Literal["latest", "best"] | int = "latest"
    ) -> Restored:
        """As `CheckpointReader.restore`; moves damaged checkpoints that it skips to `damaged`."""
        self.wait()
        restored = super().restore(abstract_state, which)
        self._bound = self._digests()
        return restored

    def accept(self, name: str, data: bytes) -> None:
        """Lets all checkpoints also accept another content of a run's file; called on one host."""
        digest = hashlib.sha256(data).hexdigest()
        for step, info in self._scan()[0].items():
            accepted = info["files_of_run"].get(name, [])
            if digest not in accepted:
                info["files_of_run"][name] = [*accepted, digest]
                manifest.replace_info(self._folder(step), info)

    @functools.cached_property
    def _bound(self) -> dict[str, str]:
        """Digests of the run's files when the run started, whatever happens to them later."""
        return self._digests()

    def _choose(self, abstract_state: Any, which: Any) -> tuple[int, dict[str, Any]]:
        return hosts.from_first(functools.partial(super()._choose, abstract_state, which))

    def _seal(self) -> None:
        """Called by Orbax on the first host when all files are written, right before the rename."""
        step, info, _ = self._pending
        (folder,) = self.directory.glob(f"{step}{_TEMPORARY}*")
        manifest.seal(folder, info, ignored=_NOTES_OF_ORBAX)

    @contextlib.contextmanager
    def _failures_as_user_errors(self) -> None:
        """Turns the error of a failed save into one sentence, and removes its files."""
        try:
            yield
        except (OSError, ValueError) as error:
            if isinstance(error, UserError):
                raise
            save, self._pending = self._pending, None
            self._settle()
            if hosts.is_first():
                self._remove_temporary()
            raise UserError(self._failure(save, error)) from error

    def _settle(self) -> None:
        """Waits for Orbax's other threads, whose errors would end the next save: one a call."""
        settled = False
        while not settled:
            with contextlib.suppress(OSError, ValueError):
                self._checkpointer.wait_until_finished()
                settled = True

    def _failure(self, save: _Save, error: OSError | ValueError) -> str:
        there = next(path for path in (self.directory, *self.directory.parents) if path.exists())
        free = shutil.disk_usage(there).free / 1e6
        cause = str(error).split("\n")[0][:300]
        full = (errno.ENOSPC, errno.EDQUOT)
        if getattr(error, "errno", None) in full or any(
            os.strerror(number) in str(error) for number in full
        ):
            needed = save.bytes / 1e6
            cause = f"no space left, {free:.1f} MB free of about {needed:.1f} MB needed"
        older = listed(step for step in super().steps() if step != save.step)
        intact = f"older checkpoints at {older} are intact" if older else "there is no older one"
        return f"Checkpoint {save.step} could not be saved in {self.directory}: {cause}; {intact}."

    def _check_space(self) -> None:
        # TensorStore prints a traceback for each file that it has to leave half-written.
        if shutil.disk_usage(self.directory).free < self._pending.bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _supersede(self, step: int) -> None:
        later = [existing for existing in numbered(self.directory) if existing > step]
        for existing in later:
            target = self._move(existing, _SUPERSEDED)
            self._report(
                f"Checkpoint {existing} is later than step {step}, which the run went back to and "
                f"saves again; moved to {target}."
            )

    def mode(self) -> str:
        """The `mode` that the writer was opened with, `max` or `min`."""
        return self._mode

    def _remove_replaced(self) -> None:
        for step in self.surplus(self._keep):
            # Renamed first, so that a kill leaves no half of a checkpoint under its name.
            self._move(step, _DELETED)
        shutil.rmtree(self.directory / _DELETED, ignore_errors=True)

    def _remove_temporary(self) -> list[Path]:
        paths = sorted(self.directory.glob(f"*{_TEMPORARY}*"))
        for path in paths:
            shutil.rmtree(path, ignore_errors=True)
        return paths

    def _move(self, step: int, where: str) -> Path:
        """Moves the folder of `step` into the folder `where`, under a name that is free there."""
        (self.directory / where).mkdir(exist_ok=True)
        target = self.directory / where / str(step)
        for number in itertools.count(2):
            if not target.exists():
                break
            target = self.directory / where / f"{step}-{number}"
        return self._folder(step).rename(target)

    def _recovered_from(self, damage: Mapping[int, str]) -> None:
        for step in damage:
            self._report(f"Checkpoint {step} was moved to {self._move(step, _DAMAGED)}.")

    def _mend(self) -> None:
        """Repairs a directory after a killed run or a failing disk."""
        for path in self._remove_temporary():
            self._report(f"Removed {path}, which a killed run left half-written.")
        shutil.rmtree(self.directory / _DELETED, ignore_errors=True)
        known = {_DAMAGED, _SUPERSEDED, _LOCK, *map(str, numbered(self.directory))}
        for path in sorted(self.directory.iterdir()):
            if path.name not in known:
                self._report(f"Ignored {path}, which is not a checkpoint.")
        damage = self.damage()
        undamaged = set(numbered(self.directory)) - damage.keys()
        empty = [step for step in damage if _is_empty(self._folder(step))]
        damage = {step: why for step, why in damage.items() if step not in empty}
        if damage and not undamaged:
            raise UserError(none_verifies(self.directory, damage))
        for step in empty:
            self._report(
                f"Checkpoint {step} is an empty folder; moved to {self._move(step, _DAMAGED)}."
            )
        for step, why in damage.items():
            self._report(
                f"Checkpoint {step} in {self.directory} is damaged: {why}. Moved to "
                f"{self._move(step, _DAMAGED)}; undamaged: {listed(undamaged)}."
            )
        self._remove_replaced()


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(path.is_file() for path in folder.rglob("*"))


class _WithoutLateWrites:
    """An unraisable hook that drops one error: a write of TensorStore ended too late.

    When one of several writes fails, Orbax closes its event loop and raises. The others then report
    to a closed loop, and Python would print a traceback for each.
    """

    def __init__(self, hook: Callable[[Any], object]):
        self._hook = hook

    def __call__(self, unraisable: Any) -> None:
        error = unraisable.exc_value
        late = isinstance(error, RuntimeError) and str(error) == "Event loop is closed"
        if not (late and unraisable.object is None):
            self._hook(unraisable)


def _is_not_logged_twice(record: Any) -> bool:
    """Drops the tracebacks that Orbax's threads log of an error which they raise as well."""
    return not (record.exc_info and "orbax" in record.pathname)
