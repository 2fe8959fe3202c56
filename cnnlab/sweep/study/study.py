"""A study: Optuna's study with a description, locks and a folder.

The folder holds:

study.json   config, space, sampler, seed, ... (`Spec`), and the place of the trials
journal.log  the trials as an Optuna journal, unless they are in a database
locks        the locks on trials
trials/NNNN  the run of each trial, with its output in NNNN.log; runs of repeats are NNNN/repeatR
logs/        output of worker processes
"""

import contextlib
from pathlib import Path

import optuna
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.trial import FrozenTrial

from cnnlab.config import from_json
from cnnlab.errors import UserError
from cnnlab.report.study_page.data import StudyResults
from cnnlab.storage.output_file import check_utf8
from cnnlab.sweep.space.space import Values
from cnnlab.sweep.study.description import FILE, read_description, write_description
from cnnlab.sweep.study.leases import Leases
from cnnlab.sweep.study.optuna_quiet import quiet_optuna
from cnnlab.sweep.study.reading import read_study, trial_folder
from cnnlab.sweep.study.spec import Spec
from cnnlab.sweep.study.storage import open_storage, without_password


class Study:
    """An open study.

    Attributes:
      folder: folder of its runs; None if the study exists in this process only.
      spec: its specification.
      name: its name, which is the name that its folder had at first.
      storage_url: URL of its database; None for the journal.
      storage: Optuna's storage of the trials.
      leases: locks on the trials.
      optuna: Optuna's study, which Optuna's own tools take.
      total: requested number of trials.
    """

    def __init__(
        self,
        folder: Path | None,
        spec: Spec,
        storage: BaseStorage,
        leases: Leases,
        *,
        name: str,
        storage_url: str | None = None,
        trials: int | None,
        create: bool = True,
    ):
        """Creates the study in the storage, or finds it there; called by `open_study`."""
        self.folder, self.spec, self.name, self.storage_url = folder, spec, name, storage_url
        self.storage, self.leases = storage, leases
        self.space, self.sampler = spec.make_space(), spec.make_sampler()
        search = {"sampler": self.sampler, "pruner": spec.make_pruner()}
        with leases.mutex(), quiet_optuna():
            try:
                self.optuna = optuna.load_study(study_name=name, storage=storage, **search)
            except KeyError:
                if not create:
                    raise UserError(
                        f"The storage has no study '{name}', whose description is in the folder: "
                        "restore it from a copy. Or start the study again as it was started: it "
                        "resumes the runs that are there."
                    ) from None
                self.optuna = optuna.create_study(
                    study_name=name, storage=storage, direction=spec.direction, **search
                )
            saved = self.optuna.user_attrs.get("spec")
            if saved is None:
                self.optuna.set_user_attr("spec", spec.to_json())
            else:
                Spec.from_json(saved).check_same(spec, f"the storage's study '{name}'")
        if trials is None:
            trials = self.optuna.user_attrs.get("trials")
        elif trials != self.optuna.user_attrs.get("trials"):
            self.optuna.set_user_attr("trials", trials)
        self.total = spec.count_trials(trials)

    @property
    def has_runs(self) -> bool:
        """Whether its trials are runs of a config in its folder."""
        return self.folder is not None and "config" in self.spec.objective

    def trials(self) -> list[FrozenTrial]:
        """Returns the current trials by number."""
        return self.optuna.get_trials(deepcopy=False)

    def values(self, trial: FrozenTrial) -> Values:
        """Returns the hyper-parameters of a trial by path."""
        return self.space.by_path(self.space.restore(trial.params))

    def run_folder(self, number: int, repeat: int) -> Path | None:
        """Returns the folder of a repeat of a trial; None if the study has no folder."""
        if self.folder is None:
            return None
        trial = trial_folder(self.folder, number)
        return trial if self.spec.repeats == 1 else trial / f"repeat{repeat}"

    def to_take(self) -> int:
        """Returns the number of trials without a worker: new ones, and those that lost theirs."""
        trials = self.trials()
        # Whoever looks at a lock holds it for a moment, in which a worker would pass the trial by.
        with self.leases.mutex():
            free = [not t.state.is_finished() and self.leases.is_free(t.number) for t in trials]
        return max(self.total - len(trials), 0) + sum(free)

    def is_over(self) -> bool:
        """Whether all trials have ended."""
        trials = self.trials()
        return len(trials) >= self.total and all(t.state.is_finished() for t in trials)

    def headline(self) -> str:
        """Describes the study in one line."""
        spec = self.spec
        what = f"{self.total} trials by {spec.sampler}"
        if spec.pruner != "none":
            what += f", ended early by {spec.pruner}"
        if spec.repeats > 1:
            what += f", each with {spec.repeats} seeds"
        return f"study of {spec.metric}, {what}, in {self.folder}"

    def results(self) -> StudyResults:
        """Returns the current results."""
        return read_study(
            self.optuna,
            metric=self.spec.metric,
            direction=self.spec.direction,
            total=self.total,
            folder=self.folder if self.has_runs else None,
        )

    def write_results(self) -> StudyResults:
        """Writes table, best config, pictures and page into the folder."""
        from cnnlab.sweep.study.results import write_results  # matplotlib takes its time

        config = self.spec.objective.get("config")
        return write_results(self.results(), self.folder, config and from_json(config))


def open_study(
    folder: Path | None, spec: Spec | None, *, storage_url: str | None, trials: int | None
) -> Study:
    """Makes a study, or joins an existing one.

    Args:
      folder: folder of the study; None keeps it in this process.
      spec: its specification; None joins the study that the folder describes, and makes none.
      storage_url: `postgresql://...` for many machines; None takes the storage that the folder
        names, or else a journal in the folder.
      trials: requested number of trials; None keeps the number, or leaves it to the sampler.

    Raises:
      UserError: there is no study, or the folder or storage holds another one; the storage cannot
        be reached.
    """
    if folder is None:
        return Study(None, spec, InMemoryStorage(), Leases(), name="study", trials=trials)
    saved = read_description(folder)
    if saved is None and spec is None:
        raise UserError(
            f"There is no study in {folder} (no {FILE}): start one with param=PATH=RANGE."
        )
    name, create = folder.resolve().name, spec is not None
    if saved is not None:
        if spec is not None:
            saved.spec.check_same(spec, str(folder))
        name, spec, known = saved.name, saved.spec, saved.storage_url
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
    storage, leases = open_storage(folder, name, storage_url)
    _make(folder)
    study = Study(folder, spec, storage, leases, name=name, storage_url=storage_url,
                  trials=trials, create=create)  # fmt: skip
    if saved is None:
        write_description(folder, name, spec, storage_url)
    return study


def _make(folder: Path) -> None:
    check_utf8(folder, name="study")
    try:
        (folder / "trials").mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            (folder / f".{FILE}.tmp").unlink()
    except OSError as error:
        raise UserError(f"study={folder} cannot be made: {error.strerror}.") from error
