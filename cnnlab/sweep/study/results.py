"""Files of a study's results: a table, the best config, pictures and a page.

trials.csv        one row per trial
best.py           the best config as an experiment, which `train` takes
best.json         the same as a `config.json`
study.html        all figures and the trials, in one file that needs no network
history.png, importance.png, slices.png, parallel.png, learning_curves.png, timeline.png
"""

import contextlib
import dataclasses
import shlex
from pathlib import Path
from typing import Any

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
from cnnlab.sweep.study.tables import write_trials
from cnnlab.train.runtime.workdir import Workdir

_NEAR = 6  # flags that may set a study's config apart from the experiment it is named after


def write_results(study: StudyResults, folder: str | Path, config: Config | None) -> StudyResults:
    """Writes table, best config, pictures and page of a study into its folder.

    May be called repeatedly while the study runs. Each file is replaced as a whole, so an open page
    is never half a page. Pictures that cannot be drawn yet are left out.

    Args:
      study: current results.
      folder: folder of the study.
      config: config that the trials change; None if they call a function, which has no experiment
        to write.

    Returns:
      The study, with the split that its metric was measured on.
    """
    folder = Path(folder)
    write_trials(study, folder / "trials.csv")
    shares, why_not = importances(study)
    about: dict[str, Any] = {"no_importance": why_not}
    best = study.best
    if config is not None:
        about["subject"] = _subject(study, config)
    if best and config is not None:
        split, about["images"] = _evaluated(best)
        metric = dataclasses.replace(study.metric, split=split)
        study = dataclasses.replace(study, metric=metric)
        flags = [f"--config={folder / 'best.py'}", f"--workdir={folder / 'best'}"]
        command = f"{program()} train {shlex.join(flags)}"
        write_best(folder, config, best.trials[0].params, title=_title(study, best),
                   command=command)  # fmt: skip
        about |= {"command": command, "test": _test_spread(study, best)}
    pictures = {
        "history": plot_history(study),
        "importance": plot_importances(study, shares),
        "slices": plot_slices(study),
        "parallel": plot_parallel(study),
        "learning_curves": plot_learning_curves(study),
        "timeline": plot_timeline(study),
    }
    for name, picture in pictures.items():
        if picture is not None:
            _save(picture, folder / f"{name}.png")
    page = study_page(study, importances=shares, about=About(**about))
    with atomic_write(folder / "study.html") as temporary:
        temporary.write_text(page, encoding="utf-8", errors="backslashreplace")
    return study


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
