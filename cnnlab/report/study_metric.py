"""How the values of a study's metric are compared, summed up over repeats, and read."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy import stats

from cnnlab.tasks import Classification, Segmentation

# Metrics that are best when they are large are shares of what is counted, and read in percent.
SHARES = frozenset(
    name
    for task in (Classification, Segmentation)
    for name, better in task.metrics.items()
    if better == "max"
)


@dataclasses.dataclass(frozen=True)
class Spread:
    """Mean of repeats, and how far it can be trusted.

    Attributes:
      mean: of the values.
      sd: their standard deviation, divisor n - 1; None of a single value.
      low: lower end of the 95 % confidence interval of the mean, from Student's t distribution with
        n - 1 degrees of freedom; None of a single value.
      high: its upper end.
      n: how many values.
    """

    mean: float
    sd: float | None
    low: float | None
    high: float | None
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Of one or more values."""
        n, mean = len(values), float(np.mean(values))
        if n < 2:
            return cls(mean, None, None, None, n)
        sd = float(np.std(values, ddof=1))
        half = float(stats.t.ppf(0.975, n - 1)) * sd / math.sqrt(n)
        return cls(mean, sd, mean - half, mean + half, n)


@dataclasses.dataclass(frozen=True)
class Metric:
    """What the trials of a study are judged by.

    Attributes:
      name: of the metric.
      direction: `maximize` or `minimize`.
    """

    name: str
    direction: Literal["maximize", "minimize"]

    @property
    def sign(self) -> int:
        """A factor that makes larger values better."""
        return 1 if self.direction == "maximize" else -1

    @property
    def percent(self) -> bool:
        """Whether the metric is read in percent."""
        return self.name in SHARES

    def shown(self, value: float) -> float:
        """A value in the unit in which it is read."""
        return 100.0 * value if self.percent else value

    @property
    def label(self) -> str:
        """Name and unit of the metric, for an axis."""
        return self.name.replace("_", " ") + (" (%)" if self.percent else "")

    def text(self, value: float | None) -> str:
        """A value as it is read."""
        if value is None:
            return ""
        return f"{100 * value:.2f} %" if self.percent else f"{value:.5g}"

    def spread_text(self, spread: Spread) -> str:
        """A mean with its 95 % confidence interval, where there is one."""
        if spread.low is None:
            return self.text(spread.mean)
        half = self.shown(spread.high - spread.mean)
        if self.percent:
            return f"{100 * spread.mean:.2f} ± {half:.2f} %"
        return f"{spread.mean:.5g} ± {half:.2g}"

    def fence(self, values: Sequence[float]) -> float | None:
        """The worst of some values that is no outlier; None where there are no outliers.

        A few trials that diverged would press all others into a line. Outliers lie beyond three
        interquartile ranges from the worse quartile (Tukey's outer fence).
        """
        if len(values) < 4:
            return None
        goodness = self.sign * np.asarray(values, np.float64)
        low, high = np.quantile(goodness, (0.25, 0.75))
        inside = goodness[goodness >= low - 3.0 * (high - low)]
        return None if len(inside) == len(goodness) else self.sign * float(inside.min())
