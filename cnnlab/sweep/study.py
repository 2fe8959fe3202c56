"""A study: its description, its storage and its folder; made, joined, and read.

On disk, FOLDER holds:

study.json   what the study is: config, space, sampler, seed, ... (`Spec`), and where its trials are
journal.log  the trials, Optuna's journal; not where they are in a database
locks        who works on which trial
trials/NNNN  the run of each trial, and NNNN.log with what it printed; of repeated trials, the
             runs are NNNN/repeatR
logs/        what worker processes had to say
"""

import contextlib
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, InMemoryStorage

from cnnlab.config import from_json
from cnnlab.errors import UserError
from cnnlab.report.study_data import Study as Results
from cnnlab.sweep.config_objective import ConfigObjective
from cnnlab.sweep.description import FILE, check_same, read_description, write_description
from cnnlab.sweep.leases import Leases, SoleLeases
from cnnlab.sweep.ledger import Ledger
from cnnlab.sweep.objective import Objective, repeat_folder, trial_folder
from cnnlab.sweep.optuna_quiet import quiet_optuna
from cnnlab.sweep.reading import read_study
from cnnlab.sweep.spec import Spec
from cnnlab.sweep.storage import find_study, open_storage, without_password
from cnnlab.sweep.worker import Worker


class Study:
    """An open study.

    Attributes:
      folder: where its runs lie; None of one that lives in this process alone.
      spec: what it is.
      storage_url: of the database; None for the journal.
      ledger: its trials.
    """

    def __init__(
        self,
        folder: Path | None,
        spec: Spec,
        storage: BaseStorage,
        leases: Leases,
        *,
        storage_url: str | None,
        trials: int | None,
    ):
        """See `open_study`."""
        self.folder, self.spec, self.storage_url = folder, spec, storage_url
        self._storage = storage
        self.name = _name(folder)
        study_id = find_study(storage, leases, self.name, spec.direction)
        self._agree(study_id, leases)
        total = self._total(study_id, trials)
        self.ledger = Ledger(
            storage,
            study_id,
            leases,
            spec.make_space(),
            spec.make_sampler(),
            total=total,
            lag=spec.lag,
            progress=self._progress,
            birth_notes=self._birth_notes,
        )

    def _agree(self, study_id: int, leases: Leases) -> None:
        """Writes the description into the storage, or compares it with the one that is there."""
        with leases.mutex():
            notes = self._storage.get_study_user_attrs(study_id)
            if "spec" not in notes:
                self._storage.set_study_user_attr(study_id, "spec", self.spec.to_json())
                return
        check_same(Spec.from_json(notes["spec"]), self.spec, f"the storage's study '{self.name}'")

    def _total(self, study_id: int, asked: int | None) -> int:
        """How many trials there are to be: what was asked for last, by whichever worker."""
        if asked is None:
            asked = self._storage.get_study_user_attrs(study_id).get("trials")
        else:
            self._storage.set_study_user_attr(study_id, "trials", asked)
        return self.spec.count_trials(asked)

    def _birth_notes(self, number: int) -> dict[str, Any]:
        return {"workdir": str(trial_folder(self.folder, number))} if self._has_runs else {}

    @property
    def _has_runs(self) -> bool:
        return self.folder is not None and "config" in self.spec.objective

    def _progress(self, number: int) -> int:
        if not self._has_runs:
            return 0
        repeats = self.spec.repeats
        folders = [repeat_folder(self.folder, number, r, repeats) for r in range(repeats)]
        return sum(map(ConfigObjective.progress, folders))

    def objective(self) -> ConfigObjective:
        """What the trials of a study of a config compute."""
        if "config" not in self.spec.objective:
            raise UserError(
                f"{self.folder} is the study of the function {self.spec.objective['function']}: "
                "call cnnlab.sweep.run with it to go on."
            )
        mode = "max" if self.spec.direction == "maximize" else "min"
        config = from_json(self.spec.objective["config"])
        return ConfigObjective(config, self.spec.metric, mode)

    def worker(self, objective: Objective, **options: Any) -> Worker:
        """A worker on this study; see `Worker` for the options."""
        return Worker(
            self.ledger,
            objective,
            self.spec.make_pruner(),
            sign=self.spec.sign,
            repeats=self.spec.repeats,
            folder=self.folder,
            **options,
        )

    def headline(self) -> str:
        """What it is, in one line."""
        spec = self.spec
        what = f"{self.ledger.total} trials by {spec.sampler}"
        if spec.pruner != "none":
            what += f", ended early by {spec.pruner}"
        if spec.repeats > 1:
            what += f", each with {spec.repeats} seeds"
        return f"study of {spec.metric}, {what}, in {self.folder}"

    def why_workers_wait(self, workers: int) -> str | None:
        """What to say of a study that has no work for so many workers at once."""
        lag = self.spec.lag
        if lag is None or workers <= lag or not self.spec.make_sampler().needs_results(10**9):
            return None
        return (
            f"At most {lag} of the {workers} workers have something to do at once: the study was "
            f"begun with lag={lag}, and its proposals wait for the results of earlier trials."
        )

    @property
    def optuna_study(self) -> optuna.Study:
        """The study as Optuna has it, for its own tools."""
        with quiet_optuna():
            return optuna.load_study(study_name=self.name, storage=self._storage)

    def write_results(self) -> Results:
        """Writes table, best config, pictures and page into the folder."""
        from cnnlab.sweep.results import write_results  # matplotlib takes its time

        config = self.spec.objective.get("config")
        return write_results(
            self.optuna_study,
            self.folder,
            None if config is None else from_json(config),
            self.spec.metric,
            self.spec.direction,
            total=self.ledger.total,
        )

    def results(self) -> Results:
        """The trials as they stand."""
        return read_study(
            self.optuna_study,
            metric=self.spec.metric,
            direction=self.spec.direction,
            total=self.ledger.total,
        )


def open_study(
    folder: Path | None, spec: Spec | None, *, storage_url: str | None, trials: int | None
) -> Study:
    """Makes a study, or joins the one that is there.

    Args:
      folder: of the study; None keeps it in this process.
      spec: what it is; None takes it from the folder.
      storage_url: `postgresql://...`, for many machines; None takes what the folder says, else the
        journal in it.
      trials: how many there are to be; None leaves that as it is, or to the sampler.

    Raises:
      UserError: there is no study, or another one; the storage cannot be reached.
    """
    if folder is None:
        return Study(None, spec, InMemoryStorage(), SoleLeases(), storage_url=None, trials=trials)
    saved = read_description(folder)
    if saved is None and spec is None:
        raise UserError(
            f"There is no study in {folder} (no {FILE}): start one with --param=PATH=RANGE."
        )
    if saved is not None:
        if spec is not None:
            check_same(saved[0], spec, str(folder))
        spec, known = saved
        if without_password(storage_url or known) != known:
            raise UserError(
                f"{folder} has its trials in {known or 'its own journal'}, not in "
                f"{without_password(storage_url)}."
            )
        storage_url = storage_url or known
    if storage_url is None:
        if saved is None:
            spec.count_trials(trials)  # before anything is written
        _make(folder)
    storage, leases = open_storage(folder, _name(folder), storage_url)
    _make(folder)
    study = Study(folder, spec, storage, leases, storage_url=storage_url, trials=trials)
    if saved is None:
        write_description(folder, spec, storage_url)
    return study


def _make(folder: Path) -> None:
    try:
        (folder / "trials").mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            (folder / f".{FILE}.tmp").unlink()
    except OSError as error:
        raise UserError(f"--study={folder} cannot be made: {error.strerror}.") from error


def _name(folder: Path | None) -> str:
    return "study" if folder is None else folder.resolve().name
