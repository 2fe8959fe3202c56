"""How a run's score decreases with the severity of corruptions."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cnnlab.analysis.evaluation.corruptions import CORRUPTIONS, Corrupted
from cnnlab.data import Source
from cnnlab.inference.run import Run


class SeverityCurve(NamedTuple):
    """A score over the severities of one corruption; arrays are [severities]."""

    severities: np.ndarray
    scores: np.ndarray


def robustness(
    run: Run, source: Source, metric: str, *, kinds: Sequence[str] = tuple(CORRUPTIONS)
) -> dict[str, SeverityCurve]:
    """Evaluates a metric, e.g. `accuracy`, at each severity of each kind of corruption.

    The first severity of each kind changes nothing.
    """
    clean = _score(run, source, metric)
    curves = {}
    for kind in kinds:
        severities = CORRUPTIONS[kind].severities
        worse = [_score(run, Corrupted(source, kind, s), metric) for s in severities[1:]]
        curves[kind] = SeverityCurve(np.array(severities), np.array([clean, *worse]))
    return curves


def _score(run: Run, source: Source, metric: str) -> float:
    return run.task.finalize(run.sums(source))[metric]
