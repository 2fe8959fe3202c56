"""Stops a run whose metric no longer improves."""

from typing import Any

from cnnlab.train.callbacks.base import Callback, Row, RunView, Stop


class EarlyStopping(Callback):
    """Stops after `patience` consecutive evaluations without a better metric.

    The count is saved with checkpoints, so a killed and resumed run stops where an uninterrupted
    one does.

    Args:
      patience: number of evaluations, at least 1.
    """

    def __init__(self, patience: int):
        self._patience = patience
        self._stale = 0

    def on_evaluation(self, run: RunView, row: Row) -> Stop | None:
        self._stale = 0 if run.best_step == row["step"] else self._stale + 1
        if self._stale < self._patience:
            return None
        return Stop(f"No better {run.metric} in {self._patience} evaluations: stopping early.")

    def state_dict(self) -> dict[str, Any]:
        return {"stale_evaluations": self._stale}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._stale = state["stale_evaluations"]
