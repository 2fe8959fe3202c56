"""Lets someone outside of the loop look on a run, and end it."""

from collections.abc import Callable

# Told the step and the numbers of each evaluation on the way; True ends the run there.
Watch = Callable[[int, dict[str, float]], bool]


class Pruned(Exception):
    """A run was ended by who watches it; its state is saved, so that it could go on.

    Attributes:
      step: updates made.
    """

    def __init__(self, step: int):
        super().__init__(f"Ended at step {step} by who watches the run; its state is saved.")
        self.step = step
