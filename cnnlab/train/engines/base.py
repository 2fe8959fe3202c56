"""The interface of engines, which compute the steps of members for the training loop."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from cnnlab.arrays import HParams, PyTree
from cnnlab.train.engines.compiled_steps import Carry
from cnnlab.train.state import TrainState


class Engine(Protocol):
    """Holds training states in rows, one for each member.

    Attributes:
      size: number of rows.
    """

    size: int

    def fill(self, carries: Sequence[Carry]) -> None:
        """Sets `state` and `metrics` of all rows; surplus rows get a copy of the first."""

    def set_hparams(self, hparams: Sequence[HParams]) -> None:
        """Sets the hyper-parameters (scalars) of all rows; surplus rows get the first one's."""

    def set_seeds(self, seeds: Sequence[int]) -> None:
        """Sets the seeds of the batches of all rows; surplus rows get the first one's."""

    def put(self, row: int, carry: Carry) -> None:
        """Replaces `state` and `metrics` of one row."""

    def copy(self, parents: Sequence[int]) -> None:
        """Gives each row the `state` and `metrics` of its parent but keeps its own random key."""

    def shrink(self, rows: Sequence[int], remaining_steps: int) -> bool:
        """May drop all other rows; returns whether these are now the first rows, in this order."""

    def advance(self, steps: range) -> None:
        """Trains all rows for these steps; devices may still be computing on return."""

    def wait(self) -> None:
        """Waits until all requested steps are computed."""

    def take_input_seconds(self) -> float:
        """Seconds since the last call in which the devices waited for input."""

    def metrics(self) -> list[dict[str, np.ndarray]]:
        """Returns the metric sums of each row since the last reset, on the host."""

    def reset_metrics(self) -> None:
        """Sets the metric sums of all rows to zero."""

    def carries(self) -> list[Carry]:
        """Returns the `state` and `metrics` of each row, as saved in checkpoints."""

    def variables(self, row: int) -> PyTree:
        """Returns the weights of a row that are evaluated, on one device."""

    def evaluate(
        self, split: str, states: Sequence[TrainState] | None = None
    ) -> list[dict[str, np.ndarray]]:
        """Returns each row's metric sums on a split, for its own state or the given ones."""

    def clear(self) -> None:
        """Frees the memory of the rows and keeps the compiled functions."""
