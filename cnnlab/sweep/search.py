"""Entry point of the library: `sweep.run(space, objective, ...)`."""

from collections.abc import Callable, Sequence
from pathlib import Path

from cnnlab.config import Config
from cnnlab.errors import UserError
from cnnlab.report.study_page.data import StudyResults
from cnnlab.sweep.study.plan import Params, Search, plan_config, plan_function
from cnnlab.sweep.study.study import Study, open_study
from cnnlab.sweep.workers.command import WorkerCommand
from cnnlab.sweep.workers.local import work_here, work_in_processes
from cnnlab.sweep.workers.objective import FunctionObjective
from cnnlab.sweep.workers.progress import ProgressReporter
from cnnlab.sweep.workers.ray import work_on_ray
from cnnlab.train.checkpoints.remains import remove_remains

_POPULATION = 64  # beyond, a step of a small network takes an accelerator longer, too


def run(
    space: Params,
    objective: Config | Callable[..., float],
    *,
    folder: str | Path | None = None,
    trials: int | None = None,
    sampler: str = "tpe",
    pruner: str = "none",
    constraints: Sequence[str] = (),
    direction: str = "minimize",
    repeats: int = 1,
    seed: int = 0,
    workers: int = 1,
    population: int | str = "auto",
    storage: str | None = None,
    report: Callable[[str], None] | None = None,
) -> StudyResults:
    """Searches a space, or resumes a search.

    >>> found = run({"x": "uniform(-5, 5)"}, lambda params: (params["x"] - 1) ** 2, trials=30)
    >>> found.best.params["x"]  # near 1

    Args:
      space: ranges by name or path of a config's field: a text such as `"log(1e-3, 1)"`, a list of
        values, or a result of `sweep.log`, `sweep.choice`, ...
      objective: a config, of which each trial trains a variant, judged by its metric on the
        validation split; or a function of a dict of values that returns a number. A function with a
        second argument, `report`, can call `report(step, value)` for pruners.
      folder: folder of the study, which is resumed if it exists. None keeps a function's study in
        memory.
      trials: number of trials; None runs all of a grid or of lists.
      sampler: `grid`, `random`, `sobol`, `tpe`, `cmaes` or `gp`.
      pruner: `none`, `median`, `asha` or `hyperband`.
      constraints: conditions that trials must fulfil, e.g. `"batch_size * learning_rate <= 64"`.
      direction: `minimize` or `maximize` a function; a config's metric has its own direction.
      repeats: number of seeds of each trial, whose value is their mean.
      seed: seed of the sampler.
      workers: number of processes; with more than one, a function must be importable.
      population: number of trials with the same program that are trained side by side if that is
        faster; `"auto"` chooses it, `"off"` disables it.
      storage: `postgresql://...` to share the study with other machines.
      report: called with a line for each trial that ends, e.g. `print`.

    Returns:
      The trials; `best` is the best config, over all its seeds.

    Raises:
      UserError: a mistake in the arguments, before any trial starts; or the folder holds another
        study.
      Interrupted: SIGTERM or SIGINT; everything is saved, and the same call resumes.
    """
    folder = None if folder is None else Path(folder)
    if workers < 1:
        raise UserError(f"workers={workers} must be at least 1.")
    if folder is None and (isinstance(objective, Config) or workers > 1 or storage):
        raise UserError("This study needs a folder: its runs, workers or storage are in it.")
    search: Search = {"sampler": sampler, "pruner": pruner, "repeats": repeats, "seed": seed}
    if isinstance(objective, Config):
        spec, function = plan_config(objective, space, constraints, **search), None
    else:
        function = FunctionObjective(objective, seed=seed if repeats > 1 else None)
        spec = plan_function(function, space, constraints, direction=direction, **search)
    study = open_study(folder, spec, storage_url=storage, trials=trials)
    return work(
        study,
        function,
        workers=workers,
        population=read_population(population),
        report=report or (lambda line: None),
    )


def work(
    study: Study,
    function: FunctionObjective | None,
    *,
    workers: int,
    population: int,
    report: Callable[[str], None],
    write: bool = False,
    ray: Sequence[str] | None = None,
) -> StudyResults:
    """Works on an open study until all its trials have ended.

    Args:
      study: to work on.
      function: what its trials compute; None where it has a config.
      workers: processes; a single worker is this process.
      population: see `Worker`.
      report: called with a line for each trial that ends.
      write: also write the study's table, pictures and page now and then; not at the end.
      ray: work by tasks of Ray with these options, see `work_on_ray`; None works by processes.

    Raises:
      Interrupted: a signal; all is saved.
    """
    reporter = ProgressReporter(study, report, write=write)
    if ray is None and workers == 1:
        work_here(study, function, population=population, ended=reporter.tell)
    else:
        folder = study.folder.resolve()
        command = WorkerCommand(folder, study.storage_url, function, population, workers)
        if ray is None:
            work_in_processes(study, command, ended=reporter.tell)
        else:
            work_on_ray(study, command, options=ray, ended=reporter.tell)
    results = study.results()
    # A trial that was pruned, or whose worker was killed at its end, is not opened again.
    for trial in filter(lambda trial: trial.workdir, results.trials):
        for run in (Path(trial.workdir), *Path(trial.workdir).glob("repeat*")):
            remove_remains(run)
    return results


def read_population(text: int | str) -> int:
    """Converts `auto`, `off` or a number to a number of runs side by side."""
    words = {"auto": _POPULATION, "off": 1}
    if text in words:
        return words[text]
    if str(text).isdecimal() and int(text) > 0:
        return int(text)
    raise UserError(f"population={text} must be auto, off, or a number of at least 1.")
