"""What a study leaves in its folder: a table, the best config, pictures and a page.

trials.csv        one row a trial
best.py           the best config as an experiment, which `train` takes
best.json         the same as a `config.json`
study.html        all figures and the trials, in one file that needs no network
history.png, importance.png, slices.png, parallel.png, learning_curves.png, timeline.png
"""

import contextlib
import dataclasses
import shlex
from pathlib import Path

import optuna
from matplotlib.figure import Figure

from cnnlab.config import Config
from cnnlab.errors import UserError
from cnnlab.program import program
from cnnlab.report.run_page.reproduce import nearest_experiment
from cnnlab.report.study_page.data import Candidate, StudyResults
from cnnlab.report.study_page.figures import (
    plot_history,
    plot_importances,
    plot_learning_curves,
    plot_parallel,
    plot_slices,
    plot_timeline,
)
from cnnlab.report.study_page.metric import Spread
from cnnlab.report.study_page.page import About, study_page
from cnnlab.storage.atomic_write import atomic_write
from cnnlab.sweep.study.best import write_best
from cnnlab.sweep.study.importance import importances
from cnnlab.sweep.study.reading import read_study
from cnnlab.sweep.study.tables import write_trials
from cnnlab.train.runtime.workdir import Workdir

_NEAR = 6  # flags that may set a study's config apart from the experiment it is named after


def write_results(
    study: optuna.Study,
    folder: str | Path,
    config: Config | None,
    metric: str,
    direction: str,
    *,
    total: int | None = None,
) -> StudyResults:
    """Writes table, best config, pictures and page of a study into its folder.

    May be called repeatedly while the study runs. Each file is replaced as a whole, so an open page
    is never half a page. Pictures that cannot be drawn yet are left out.

    Args:
      study: Optuna study.
      folder: folder of the study.
      config: config that the trials change; None if they call a function, which has no experiment
        to write.
      metric: name of the metric.
      direction: `maximize` or `minimize`.
      total: requested number of trials; None if unknown.

    Returns:
      The study as it was read, for `tables.best_table` and `status.status_text`.
    """
    folder = Path(folder)
    runs = None if config is None else folder
    record = read_study(study, metric=metric, direction=direction, total=total, folder=runs)
    write_trials(record, folder / "trials.csv")
    best, about = record.best, About()
    if best and config is not None:
        split, images = _evaluated(best)
        metric = dataclasses.replace(record.metric, split=split)
        record = dataclasses.replace(record, metric=metric)
    if config is not None:
        about = dataclasses.replace(about, subject=_subject(record, config))
    if best and config is not None:
        flags = [f"--config={folder / 'best.py'}", f"--workdir={folder / 'best'}"]
        command = f"{program()} train {shlex.join(flags)}"
        write_best(folder, config, best.trials[0].params, title=_title(record, best),
                   command=command)  # fmt: skip
        about = dataclasses.replace(
            about, command=command, test=_test_spread(record, best), images=images
        )
    shares, why_not = importances(record)
    about = dataclasses.replace(about, no_importance=why_not)
    pictures = {
        "history": plot_history(record),
        "importance": plot_importances(record, shares),
        "slices": plot_slices(record),
        "parallel": plot_parallel(record),
        "learning_curves": plot_learning_curves(record),
        "timeline": plot_timeline(record),
    }
    for name, picture in pictures.items():
        if picture is not None:
            _save(picture, folder / f"{name}.png")
    page = study_page(record, importances=shares, about=about)
    with atomic_write(folder / "study.html") as temporary:
        temporary.write_text(page, encoding="utf-8", errors="backslashreplace")
    return record


def _subject(study: StudyResults, config: Config) -> str:
    """`lenet, mlp on digits (mlp_digits)`: models, data and, where it is near, the experiment."""

    def names(path: str, own: str) -> str:
        found = {str(trial.params.get(path, own)) for trial in study.trials} or {own}
        return ", ".join(sorted(found))

    found = nearest_experiment(config)
    experiment = f" ({found[0]})" if found and len(found[1]) <= _NEAR else ""
    models, data = names("model.name", config.model.name), names("data.name", config.data.name)
    return f"{models} on {data}{experiment}"


def _title(study: StudyResults, best: Candidate) -> str:
    """Formats the score of the best config."""
    metric, spread, trial = study.metric, best.spread, best.trials[0]
    count = len(study.trials)
    of = f"Best of {count} trial{'' if count == 1 else 's'} of the study {study.name}"
    if spread.n == 1:
        return f"{of}: {metric.words} {metric.text(trial.value)} (trial {trial.number})."
    runs = study.replicates
    mean = f"{of}: mean {metric.words} {metric.spread_text(spread)} (sd over {spread.n} {runs}"
    if len(best.trials) == 1:
        return f"{mean}, trial {trial.number})."
    return f"{mean});\nthe best of these {runs}, set below, reached {metric.text(trial.value)}."


def _test_spread(study: StudyResults, best: Candidate) -> Spread | None:
    """The best config's metric on the test split; None if its runs do not hold it."""
    tests = [numbers.get(study.metric.name) for trial in best.trials for numbers in trial.tests]
    values = [value for value in tests if value is not None]
    return Spread.of(values) if values else None


def _evaluated(best: Candidate) -> tuple[str, int | None]:
    """The split that the best config was measured on, and its number of images.

    Read from one of its runs; `validation` and None if none can be read.
    """
    for trial in best.trials:
        for folder in (Path(trial.workdir), Path(trial.workdir) / "repeat0"):
            with contextlib.suppress(UserError, OSError):
                counts = Workdir(folder).dataset_info().num_examples
                split = "validation" if "validation" in counts else "test"
                return split, counts[split]
    return "validation", None


def _save(picture: Figure, path: Path) -> None:
    with atomic_write(path) as temporary:
        picture.savefig(temporary, format=path.suffix.removeprefix("."))
