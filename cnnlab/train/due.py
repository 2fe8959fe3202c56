"""When a run is logged, evaluated and saved."""

import dataclasses

from cnnlab.train.experiment import Experiment


@dataclasses.dataclass(frozen=True)
class Due:
    """Which actions are due after a step, and whether it is the last."""

    log: bool
    evaluate: bool
    save: bool
    last: bool


def due_after(experiment: Experiment, before: int, step: int) -> Due:
    """Returns what is due at `step`, given that the previous call was for step `before`."""
    last = step >= experiment.total_steps

    def due(every: int | None) -> bool:
        return every is not None and (last or step // every > before // every)

    evaluate = due(experiment.eval_steps)
    save = due(experiment.save_steps) or evaluate
    # Short runs have curves too.
    log_steps = min(experiment.config.log_every_steps, max(experiment.total_steps // 10, 1))
    return Due(due(log_steps), evaluate, save, last)
