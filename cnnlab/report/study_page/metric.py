"""How the values of a study's metric are compared, summarised over repeats, and formatted."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy import stats

from cnnlab.tasks.words import SHARES, metric_words


@dataclasses.dataclass(frozen=True)
class Spread:
    """Mean of repeats with its uncertainty.

    Attributes:
      mean: mean of the values.
      sd: their standard deviation, with divisor n - 1; None for a single value.
      low: lower end of the 95 % confidence interval of the mean, from Student's t distribution with
        n - 1 degrees of freedom; None for a single value.
      high: upper end of that interval.
      n: number of values.
    """

    mean: float
    sd: float | None
    low: float | None
    high: float | None
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Computes the spread of one or more values."""
        n, mean = len(values), float(np.mean(values))
        if n < 2:
            return cls(mean, None, None, None, n)
        sd = float(np.std(values, ddof=1))
        half = float(stats.t.ppf(0.975, n - 1)) * sd / math.sqrt(n)
        return cls(mean, sd, mean - half, mean + half, n)


@dataclasses.dataclass(frozen=True)
class Metric:
    """The metric by which trials of a study are compared.

    Attributes:
      name: name of the metric.
      direction: `maximize` or `minimize`.
      split: split on which it is measured; empty for the value of a function.
    """

    name: str
    direction: Literal["maximize", "minimize"]
    split: str = "validation"

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
    def words(self) -> str:
        """The metric and the split that it is measured on: `validation accuracy`."""
        return f"{self.split} {metric_words(self.name)}".strip()

    @property
    def label(self) -> str:
        """Name and unit of the metric, for an axis."""
        return self.words + (" (%)" if self.percent else "")

    def text(self, value: float | None) -> str:
        """A value as it is read."""
        if value is None:
            return ""
        return f"{100 * value:.2f} %" if self.percent else f"{value:.5g}"

    def interval(self, spread: Spread) -> tuple[float, float]:
        """Ends of the 95 % confidence interval; that of a share stays within 0 and 1."""
        low, high = spread.low, spread.high
        return (max(low, 0.0), min(high, 1.0)) if self.percent else (low, high)

    def interval_text(self, spread: Spread) -> str:
        """The interval, as it is read."""
        low, high = self.interval(spread)
        if self.percent:
            return f"95 % interval {100 * low:.2f} to {100 * high:.2f} %"
        return f"95 % interval {low:.4g} to {high:.4g}"

    def spread_text(self, spread: Spread) -> str:
        """A mean and, of several seeds, `± sd`, their standard deviation."""
        if spread.sd is None:
            return self.text(spread.mean)
        if self.percent:
            return f"{100 * spread.mean:.2f} ± {100 * spread.sd:.2f} %"
        return f"{spread.mean:.5g} ± {spread.sd:.2g}"

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
