"""The library's way in: `sweep.run(space, objective, ...)`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cnnlab.config import Config
from cnnlab.errors import UserError
from cnnlab.report.study_data import Study as Results
from cnnlab.sweep.description import read_description
from cnnlab.sweep.local import work_here, work_in_processes
from cnnlab.sweep.objective import FunctionObjective
from cnnlab.sweep.plan import Params, plan_config, plan_function
from cnnlab.sweep.study import Study, open_study
from cnnlab.sweep.teller import Teller

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
    lag: int | str | None = "workers",
    storage: str | None = None,
    report: Callable[[str], None] | None = None,
) -> Results:
    """Searches a space, or goes on with a search.

    >>> found = run({"x": "uniform(-5, 5)"}, lambda params: (params["x"] - 1) ** 2, trials=30)
    >>> found.best.params["x"]  # near 1

    Args:
      space: by name, or path of a config's field: a text as `"log(1e-3, 1)"`, a list of values, or
        what `sweep.log`, `sweep.choice`, ... make.
      objective: a config, of which each trial trains a variant and the metric on the validation
        split counts; or a function of a dict of values, that returns a number. A function that
        takes a second argument, `report`, may call `report(step, value)` on its way, for pruners.
      folder: of the study. If it holds the same study, that is gone on with. None keeps a
        function's study in memory.
      trials: how many; None takes all of a grid or of lists.
      sampler: `grid`, `random`, `sobol`, `tpe` or `cmaes`.
      pruner: `none`, `median`, `asha` or `hyperband`.
      constraints: conditions that trials must fulfil, as `"batch_size * learning_rate <= 64"`.
      direction: of a function, `minimize` or `maximize`; a config's metric knows its own.
      repeats: each trial is run with as many seeds, and its value is their mean.
      seed: of the sampler.
      workers: processes; with more than one, a function must be importable.
      population: how many trials that differ only in numbers that can be traced may be trained side
        by side in one program, where that is faster; `"auto"` for as many as are of use, `"off"`.
      lag: trial n depends on trials up to n - lag only, so that the study does not depend on which
        worker is faster; `"workers"` takes their number, None what is known at the moment.
      storage: `postgresql://...` to share the study with other machines.
      report: is told a line of each trial that ends, e.g. `print`.

    Returns:
      The trials; `best` is the best config, over all its seeds.

    Raises:
      UserError: a mistake in what was asked, before any trial starts; or the folder holds another
        study.
      Interrupted: SIGTERM or SIGINT; all is saved, and the same call goes on.
    """
    folder = None if folder is None else Path(folder)
    saved = None if folder is None else read_description(folder)
    if workers < 1:
        raise UserError(f"workers={workers} must be at least 1.")
    if folder is None and (isinstance(objective, Config) or workers > 1 or storage):
        raise UserError("This study needs a folder: its runs, workers or storage are in it.")
    if lag == "workers":
        lag = saved[0].lag if saved else workers
    options: dict[str, Any] = {
        "sampler": sampler, "pruner": pruner, "repeats": repeats, "seed": seed, "lag": lag
    }  # fmt: skip
    if isinstance(objective, Config):
        spec, function = plan_config(objective, space, constraints, **options), None
    else:
        function = FunctionObjective(objective, seed=seed if repeats > 1 else None)
        spec = plan_function(function, space, constraints, direction=direction, **options)
    study = open_study(folder, spec, storage_url=storage, trials=trials)
    return work(
        study,
        function,
        workers=workers,
        population=read_population(population),
        report=report or _ignore,
    )


def work(
    study: Study,
    function: FunctionObjective | None,
    *,
    workers: int,
    population: int,
    report: Callable[[str], None],
    write: bool = False,
) -> Results:
    """Works on an open study until all its trials have ended.

    Args:
      study: to work on.
      function: what its trials compute; None where it has a config.
      workers: processes; a single worker is this process.
      population: see `Worker`.
      report: is told a line of each trial that ends.
      write: also write the study's table, pictures and page now and then; not at the end.

    Raises:
      Interrupted: a signal; all is saved.
    """
    waiting = study.why_workers_wait(workers)
    if waiting:
        report(waiting)
    teller = Teller(study, report, write=write)
    if workers == 1:
        work_here(study, function, population=population, ended=teller.tell)
    else:
        work_in_processes(
            study, function, workers=workers, population=population, ended=teller.tell
        )
    return study.results()


def read_population(text: int | str) -> int:
    """How many runs side by side `auto`, `off` or a number mean."""
    words = {"auto": _POPULATION, "off": 1}
    if text in words:
        return words[text]
    if str(text).isdecimal() and int(text) > 0:
        return int(text)
    raise UserError(f"population={text} must be auto, off, or a number of at least 1.")


def _ignore(line: str) -> None:
    pass
