"""How long a run is: its epochs in steps."""

import dataclasses
import math
from fractions import Fraction

from cnnlab.config.schema import Config


@dataclasses.dataclass(frozen=True)
class RunLength:
    """Length of a run.

    Attributes:
      total: number of updates.
      epoch: steps of one epoch, exactly.
    """

    total: int
    epoch: Fraction

    @classmethod
    def of(cls, config: Config, num_examples: int) -> "RunLength":
        """Returns the length of a run with `num_examples` training examples."""
        epoch = Fraction(num_examples, config.batch_size)
        if config.steps is not None:
            return cls(config.steps, epoch)
        return cls(max(1, math.ceil(_exact(config.epochs) * epoch)), epoch)

    def steps(self, epochs: float) -> int:
        """Converts epochs to the nearest step; at least 1 for any positive number."""
        return max(1, round(_exact(epochs) * self.epoch)) if epochs > 0 else 0


def _exact(epochs: float) -> Fraction:
    # 1.1 is meant as 11/10: the float next to it, times 100 examples, is above 110.
    return Fraction(repr(epochs))
