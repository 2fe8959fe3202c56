"""Optuna's pruners, which compare trials at their first, second, ... evaluation.

They do not compare at equal training steps, so batch sizes and data sets can be searched.
"""

from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    NopPruner,
    SuccessiveHalvingPruner,
)

from cnnlab.errors import UserError
from cnnlab.sweep.sampling.call import read_call

PRUNERS = {
    "none": {},
    "median": {"first": 1, "startup": 5},
    "asha": {"first": 1, "factor": 3},
    "hyperband": {"factor": 3},
}


def make_pruner(text: str, *, evaluations: int | None = None) -> BasePruner:
    """Creates a pruner from its text.

    Args:
      text: `none`; `median(first=1, startup=5)`: first evaluation, and number of complete
        trials before pruning; `asha(first=1, factor=3)`: evaluation of the first rung, and number
        of trials per continued one; or `hyperband(factor=3)`.
      evaluations: number of evaluations of a complete trial, if known.

    Raises:
      UserError: the name or an option is unknown, or trials are too short.
    """
    name, options = read_call(text, "pruner", PRUNERS)
    if name == "none":
        return NopPruner()
    if evaluations is not None and evaluations < 2:
        raise UserError(
            f"{name} ends trials between two evaluations, and a trial here has {evaluations}: "
            "lower evaluation.every_epochs."
        )
    if name == "median":
        return MedianPruner(n_startup_trials=options["startup"], n_warmup_steps=options["first"])
    factor = options["factor"]
    if factor < 2:
        raise UserError(f"factor={factor}: of so many trials one is continued, so at least 2.")
    if name == "asha":
        return SuccessiveHalvingPruner(min_resource=options["first"], reduction_factor=factor)
    if evaluations is None:
        raise UserError(
            "hyperband must know how often a trial reports, which a function does not tell: take "
            "asha."
        )
    return HyperbandPruner(max_resource=evaluations, reduction_factor=factor)
