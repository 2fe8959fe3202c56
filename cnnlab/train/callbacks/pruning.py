"""Ends a run early, e.g. a trial of a study, so that it can be resumed."""

from collections.abc import Callable

from cnnlab.train.callbacks.base import Callback, Row, RunView, Stop


class Pruned(Exception):
    """Raised when a callback stops the run unfinished. The state is saved and can be resumed.

    Attributes:
      step: number of updates so far.
    """

    def __init__(self, step: int, reason: str = "A callback stopped the run."):
        super().__init__(f"{reason} Stopped at step {step}; the state is saved.")
        self.step = step


class Pruning(Callback):
    """Ends the run after an evaluation for which `should_prune` returns True.

    Args:
      should_prune: called with the row of each evaluation; a resumed run reports only evaluations
        after its checkpoint.
    """

    def __init__(self, should_prune: Callable[[Row], bool]):
        self._should_prune = should_prune

    def on_evaluation(self, run: RunView, row: Row) -> Stop | None:
        return Stop("The run was pruned.", finish=False) if self._should_prune(row) else None
