"""Checkpoints that are saved in the background and never restored wrong.

`CheckpointWriter` is the training loop's: it saves, keeps the latest and the best, and mends what a
killed run left. `CheckpointReader` is for evaluation and prediction: it changes nothing on disk.

Orbax writes each checkpoint under another name and renames it when it is complete. What it leaves
open is closed here. It restores a flipped bit as a wrong weight: so the SHA-256 of every array is
saved in the same atomic step, and one of every file right after it. It knows no way back from a
damaged checkpoint: here the newest undamaged one is restored, and what happened is said. It takes
any folder with a number for a checkpoint, and reports a full disk at the next save: here foreign
folders are found by their content, and `check_for_errors` tells of a failed save at once.

On disk, `WORKDIR/checkpoints` holds a folder per step, with `state` (arrays by name), `record`
(step, metric, meta, digests) and the manifest of its files; `damaged` and `superseded` hold the
checkpoints that were moved out of the way. Nothing that was saved is deleted, but for the ones that
later or better checkpoints replace.
"""

import concurrent.futures
import contextlib
import errno
import itertools
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self

import jax
import numpy as np
import orbax.checkpoint as ocp
from absl import logging

from cnnlab.errors import UserError
from cnnlab.train import digest, manifest, retention
from cnnlab.train.checkpoint_reader import (
    CheckpointReader,
    Restored,
    listed,
    none_verifies,
    numbered,
)
from cnnlab.train.checkpoint_record import make_record
from cnnlab.train.lock import hold
from cnnlab.train.manifest import DamagedError

__all__ = ["CheckpointReader", "CheckpointWriter", "Restored"]

_DAMAGED = "damaged"
_SUPERSEDED = "superseded"
_DELETED = ".deleted"
_LOCK = ".lock"
_TEMPORARY = ".orbax-checkpoint-tmp"


class CheckpointWriter(CheckpointReader):
    """The checkpoints of the run that is training; use it in a `with` statement.

    A save copies the state to the host and returns; digests, files and the removal of replaced
    checkpoints are a background thread's. A replaced checkpoint goes only when the later one is
    complete, sealed and flushed to the disk.
    """

    def __init__(
        self,
        workdir: str | Path,
        *,
        keep: int = 2,
        mode: Literal["max", "min"] = "max",
        report: Callable[[str], None] = logging.warning,
    ):
        """Opens `workdir` for one training process, and mends what an earlier one left.

        Half-written checkpoints are removed; damaged, empty and foreign step folders are moved to
        `damaged`; each is reported.

        Args:
          workdir: working directory of the run; created if missing.
          keep: how many of the latest checkpoints to keep, beside the best one; at least 1. With 1,
            there is nothing to fall back to.
          mode: "max" if a greater metric is better, "min" if a smaller one is.
          report: is told, a sentence at a time, what was found and done.

        Raises:
          UserError: another process is writing there, the directory cannot be written, or there are
            checkpoints but none without damage (they are left as they are).
        """
        super().__init__(workdir, report=report)
        if keep < 1:
            raise UserError(f"keep must be at least 1, not {keep}.")
        if mode not in ("max", "min"):
            raise UserError(f"mode must be 'max' or 'min', not {mode!r}.")
        self._keep = keep
        self._mode = mode
        self._pending: concurrent.futures.Future[None] | None = None
        with contextlib.ExitStack() as resources:
            try:
                self.directory.mkdir(parents=True, exist_ok=True)
                resources.enter_context(hold(self.directory / _LOCK))
                resources.enter_context(_without_echo())
                self._mend()
            except OSError as error:
                raise UserError(
                    f"Cannot write checkpoints to {self.directory}: {error}."
                ) from error
            self._manager = ocp.CheckpointManager(
                self.directory,
                item_names=("state", "record"),
                options=ocp.CheckpointManagerOptions(
                    create=False,
                    # The thread here does what Orbax's would, and hashes. Retention is ours too:
                    # Orbax would remove a replaced checkpoint file by file, and before the seal.
                    enable_async_checkpointing=False,
                    # On several hosts, the one that writes does not wait for the others.
                    multiprocessing_options=ocp.options.MultiprocessingOptions(
                        primary_host=jax.process_index(), active_processes={jax.process_index()}
                    ),
                    lightweight_initialize=True,
                ),
            )
            resources.callback(self._manager.close)
            self._thread = resources.enter_context(
                concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
            )
            self._resources = resources.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def save(
        self,
        step: int,
        state: Any,
        *,
        meta: Mapping[str, Any] | None = None,
        metric: float | None = None,
    ) -> bool:
        """Saves `state` in the background; on return its buffers may be donated or overwritten.

        First waits for the save before, if that is still being written. Saving a step before
        existing ones (a run that went back) moves those to `superseded`.

        Args:
          step: number of updates the state has seen.
          state: pytree of arrays and scalars; typed random keys are welcome.
          meta: anything JSON, returned by `restore`.
          metric: what "best" is judged by; None leaves this checkpoint out of that.

        Returns:
          False if this step is saved already, and nothing was done.

        Raises:
          UserError: the save before failed (this one is not begun), or `meta` is not JSON.
        """
        self.wait()
        if self._folder(step).exists():
            return False
        try:
            # A snapshot, and in the form in which it will be read.
            meta = json.loads(json.dumps(meta or {}))
        except TypeError as error:
            raise UserError(f"The meta of a checkpoint must be JSON: {error}.") from error
        metric = None if metric is None else float(metric)
        leaves = digest.to_host(state)
        self._pending = self._thread.submit(self._write, step, leaves, meta, metric)
        return True

    def check_for_errors(self) -> None:
        """Raises what went wrong in the last save, if that has ended; returns at once.

        After that, saving works again as soon as the cause is gone.

        Raises:
          UserError: the disk is full or cannot be written; names path, step and free space.
        """
        if self._pending is not None and self._pending.done():
            self.wait()

    def wait(self) -> None:
        """Waits until the last save is on the disk.

        Raises:
          UserError: as `check_for_errors`.
        """
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def close(self) -> None:
        """Waits for the last save and frees the directory for others; to be called once done.

        Raises:
          UserError: as `check_for_errors`.
        """
        with self._resources:
            self.wait()

    def restore(
        self, abstract_state: Any, which: Literal["latest", "best"] | int = "latest"
    ) -> Restored:
        """As `CheckpointReader.restore`; moves the damaged ones that it passed to `damaged`."""
        self.wait()
        return super().restore(abstract_state, which)

    def _write(
        self,
        step: int,
        leaves: Mapping[str, digest.HostLeaf],
        meta: Mapping[str, Any],
        metric: float | None,
    ) -> None:
        """Saves, seals, and removes what is replaced; runs in the background thread."""
        logging.get_absl_logger().addFilter(_is_not_told_twice)
        try:
            self._supersede(step)
            record = make_record(
                step=step,
                metric=metric,
                mode=self._mode,
                meta=meta,
                leaves=digest.describe(leaves),
            )
            self._manager.reload()
            self._manager.save(
                step,
                args=ocp.args.Composite(
                    state=ocp.args.StandardSave(_storable(leaves)),
                    record=ocp.args.JsonSave(record),
                ),
                force=True,
            )
            manifest.seal(self._folder(step))
            self._remove_replaced()
        except (OSError, ValueError) as error:
            raise UserError(self._failure(step, leaves, error)) from error
        finally:
            logging.get_absl_logger().removeFilter(_is_not_told_twice)
            for path in self.directory.glob(f"*{_TEMPORARY}*"):
                shutil.rmtree(path, ignore_errors=True)

    def _failure(
        self, step: int, leaves: Mapping[str, digest.HostLeaf], error: OSError | ValueError
    ) -> str:
        there = next(path for path in (self.directory, *self.directory.parents) if path.exists())
        free = shutil.disk_usage(there).free / 1e6
        needed = sum(leaf.data.nbytes for leaf in leaves.values()) / 1e6
        cause = str(error).split("\n")[0][:300]
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
        if (
            full
            or os.strerror(errno.ENOSPC) in str(error)
            or os.strerror(errno.EDQUOT) in str(error)
        ):
            cause = f"no space left, {free:.1f} MB free of about {needed:.1f} MB needed"
        older = listed(existing for existing in self.steps() if existing != step)
        intact = f"older checkpoints at {older} are intact" if older else "there is no older one"
        return f"Checkpoint {step} could not be saved in {self.directory}: {cause}; {intact}."

    def _supersede(self, step: int) -> None:
        later = [existing for existing in numbered(self.directory) if existing > step]
        for existing in later:
            target = self._move(existing, _SUPERSEDED)
            self._report(
                f"Checkpoint {existing} is of a course that the run left by going back to step "
                f"{step} or before; moved to {target}."
            )

    def _remove_replaced(self) -> None:
        records, _ = self._scan()
        metrics = {step: record["metric"] for step, record in records.items()}
        for step in set(metrics) - retention.kept(metrics, self._keep, self._mode):
            # Renamed first: a kill in between leaves no half of a checkpoint under its name.
            self._move(step, _DELETED)
        shutil.rmtree(self.directory / _DELETED, ignore_errors=True)

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
        """Brings a directory that a killed run or a failing disk left into order."""
        shutil.rmtree(self.directory / _DELETED, ignore_errors=True)
        known = {_DAMAGED, _SUPERSEDED, _LOCK, *map(str, numbered(self.directory))}
        for path in sorted(self.directory.iterdir()):
            if _TEMPORARY in path.name:
                shutil.rmtree(path)
                self._report(f"Removed {path}, which a killed run left half-written.")
            elif path.name not in known:
                self._report(f"Ignored {path}, which is not a checkpoint.")
        damage, empty, undamaged = {}, [], []
        for step in numbered(self.directory):
            folder = self._folder(step)
            try:
                record = self._check(step)
                if not manifest.is_sealed(folder):
                    self._arrays(step, record)
                    manifest.seal(folder)
                undamaged.append(step)
            except DamagedError as error:
                if folder.is_dir() and not any(path.is_file() for path in folder.rglob("*")):
                    empty.append(step)
                else:
                    damage[step] = str(error)
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


def _is_not_told_twice(record: Any) -> bool:
    """Drops the tracebacks that Orbax's threads log of an error which they raise as well."""
    return "_SignalingThread" not in record.getMessage()


@contextlib.contextmanager
def _without_echo() -> Iterator[None]:
    """Drops the tracebacks, dozens, of tensorstore's threads after a save that failed.

    Orbax has raised the error and closed its event loop, which they still want to answer to.
    """
    previous = sys.unraisablehook

    def hook(unraisable: Any) -> None:
        if str(unraisable.exc_value) != "Event loop is closed":
            previous(unraisable)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = previous


def _storable(leaves: Mapping[str, digest.HostLeaf]) -> dict[str, np.ndarray]:
    """The arrays for Orbax, which refuses those without an element; the record describes them."""
    return {name: leaf.data for name, leaf in leaves.items() if leaf.data.size}
