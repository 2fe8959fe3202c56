"""Assigns trials to workers.

Trials are taken under a lock that all workers share. A trial whose worker has died or released it
comes first, under its own number; then a new one.
"""

from collections.abc import Callable

import optuna
from optuna.trial import FrozenTrial

from cnnlab.sweep.space.space import Values
from cnnlab.sweep.study.study import Study
from cnnlab.sweep.workers.config_objective import ConfigObjective
from cnnlab.sweep.workers.trial import Trial
from cnnlab.train.runtime.signals import StopRequests

# A trial that kills its worker each time, e.g. for lack of memory, must fail in the end.
MOST_DEATHS = 5


def take(study: Study, stop: StopRequests) -> Trial | None:
    """Takes a trial to work on; None if no trial is left."""
    with study.leases.mutex():
        for trial in study.trials():
            taken = _take_up(study, trial, stop)
            if taken is not None:
                return taken
        return _begin(study, stop)


def take_others(
    study: Study,
    first: Trial,
    most: int,
    group: Callable[[Values], str | None],
    stop: StopRequests,
) -> list[Trial]:
    """Takes more trials that can be trained side by side with the first.

    New trials of other groups that are drawn on the way are left in the queue.

    Args:
      study: the study of the trials.
      first: the trial that was taken before.
      most: largest number of trials to take.
      group: key shared by trials that can run in one program; None if a trial must run alone.
      stop: the signals that this process has received.
    """
    wanted = group(first.values)
    if wanted is None or most < 1:
        return []
    found: list[Trial] = []
    with study.leases.mutex():
        for trial in study.trials():
            same = not trial.state.is_finished() and group(study.values(trial)) == wanted
            taken = _take_up(study, trial, stop) if same and len(found) < most else None
            found += [taken] if taken else []
        # A bound on the search, so that few trials of other groups are left in the queue.
        for _ in range(4 * most):
            if len(found) == most or study.sampler.needs_results(len(study.trials())):
                break
            trial = _begin(study, stop)
            if trial is None:
                break
            if group(trial.values) == wanted:
                found.append(trial)
            else:
                trial.release()
    return found


def _begin(study: Study, stop: StopRequests) -> Trial | None:
    number = len(study.trials())
    if number >= study.total:
        return None
    # No other worker considers this number before it is in the storage.
    study.leases.take(number)
    try:
        return Trial(study, study.optuna.ask(), stop)
    except BaseException:
        study.leases.drop(number)
        raise


def _take_up(study: Study, trial: FrozenTrial, stop: StopRequests) -> Trial | None:
    """Takes a trial that had begun; None if another worker has it, or if it has ended."""
    if trial.state.is_finished() or not study.leases.take(trial.number):
        return None
    trial_id = trial._trial_id
    trial = study.storage.get_trial(trial_id)  # which may have ended in the meantime
    if trial.state.is_finished():
        study.leases.drop(trial.number)
        return None
    deaths = 0
    if trial.user_attrs.get("released"):
        study.storage.set_trial_user_attr(trial_id, "released", False)
    else:
        deaths = _count_death(study, trial)
    taken = Trial(study, optuna.Trial(study.optuna, trial_id), stop)
    if deaths <= MOST_DEATHS:
        return taken
    taken.finish(
        "failed",
        reason=f"its worker died {deaths} times without getting on (killed, or out of memory)",
        seconds=0.0,
    )
    return None


def _count_death(study: Study, trial: FrozenTrial) -> int:
    """Counts the workers that have died on a trial since its last progress, including this one."""
    progress = [len(trial.intermediate_values), _progress(study, trial.number)]
    before = trial.user_attrs.get("deaths", {"progress": None, "count": 0})
    count = before["count"] + 1 if before["progress"] == progress else 1
    study.storage.set_trial_user_attr(
        trial._trial_id, "deaths", {"progress": progress, "count": count}
    )
    return count


def _progress(study: Study, number: int) -> int:
    """A number that grows whenever a worker of the trial makes progress."""
    if not study.has_runs:
        return 0
    folders = [study.run_folder(number, repeat) for repeat in range(study.spec.repeats)]
    return sum(map(ConfigObjective.progress, folders))
