"""What a study leaves in its folder: a table, the best config, pictures and a page.

trials.csv        one row a trial
best.py           the best config as an experiment, for `train --config=`
best.json         the same as a `config.json`
study.html        all figures and the trials, in one file that needs no network
history.png, importance.png, slices.png, parallel.png, learning_curves.png, timeline.png
"""

import shlex
from pathlib import Path

import optuna
from matplotlib.figure import Figure

from cnnlab.config import Config
from cnnlab.report.study_data import Candidate, Study
from cnnlab.report.study_figures import (
    plot_history,
    plot_importances,
    plot_learning_curves,
    plot_timeline,
)
from cnnlab.report.study_metric import Spread
from cnnlab.report.study_page import study_page
from cnnlab.report.study_params import plot_parallel, plot_slices
from cnnlab.sweep.best import write_best
from cnnlab.sweep.importance import importances
from cnnlab.sweep.reading import read_study
from cnnlab.sweep.tables import write_trials
from cnnlab.train.whole_file import whole_file


def write_results(
    study: optuna.Study,
    folder: str | Path,
    config: Config | None,
    metric: str,
    direction: str,
    *,
    total: int | None = None,
) -> Study:
    """Writes all that can be said of a study at this time into its folder.

    May be called while the study runs, and again: each file is replaced as a whole, so that a page
    which is open somewhere is never half a page. What cannot be drawn yet is left out, and the page
    says why.

    Args:
      study: Optuna's.
      folder: of the study.
      config: that the trials change; None where they are calls of a function, and there is no
        experiment to write.
      metric: what the trials are judged by.
      direction: `maximize` or `minimize`.
      total: how many trials were asked for, if that is known.

    Returns:
      The study as it was read, for `tables.best_table` and `status.status_text`.
    """
    folder = Path(folder)
    record = read_study(study, metric=metric, direction=direction, total=total)
    write_trials(record, folder / "trials.csv")
    best, command, notes = record.best, "", ()
    if best and config is not None:
        command = shlex.join(["python", "launch.py", "train", f"--config={folder / 'best.py'}",
                              f"--workdir={folder / 'best'}"])  # fmt: skip
        write_best(folder, config, best.trials[0].params, title=_title(record, best),
                   command=command)  # fmt: skip
        notes = _test_notes(record, best)
    shares, too_few = importances(record)
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
    page = study_page(record, importances=shares, too_few=too_few, command=command, notes=notes)
    with whole_file(folder / "study.html") as temporary:
        temporary.write_text(page)
    return record


def _title(study: Study, best: Candidate) -> str:
    """What is known of the best config."""
    metric, spread, trial = study.metric, best.spread, best.trials[0]
    count = len(study.trials)
    of = f"Best of {count} trial{'' if count == 1 else 's'} of the study {study.name}"
    if spread.n == 1:
        return f"{of}: {metric.name} {metric.text(trial.value)} (trial {trial.number})."
    mean = f"{of}: mean {metric.name} of {spread.n} seeds {metric.spread_text(spread)}"
    if len(best.trials) == 1:
        return f"{mean} (trial {trial.number})."
    return f"{mean};\nthe best of these seeds, set below, reached {metric.text(trial.value)}."


def _test_notes(study: Study, best: Candidate) -> tuple[str, ...]:
    """The best config's metric on the test split, where its runs tell it."""
    tests = [numbers.get(study.metric.name) for trial in best.trials for numbers in trial.tests]
    values = [value for value in tests if value is not None]
    if not values:
        return ()
    text = study.metric.spread_text(Spread.of(values))
    return (f"On the test split, which had no part in the choice: {text}",)


def _save(picture: Figure, path: Path) -> None:
    with whole_file(path) as temporary:
        picture.savefig(temporary, format=path.suffix.removeprefix("."))
