"""How a run's score falls as images get worse."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cnnlab.analysis.corruptions import CORRUPTIONS, Corrupted
from cnnlab.data import Source
from cnnlab.train.restore import Run


class SeverityCurve(NamedTuple):
    """A score over the severities of one corruption, [severities] each."""

    severities: np.ndarray
    scores: np.ndarray


def robustness(
    run: Run, source: Source, metric: str, *, kinds: Sequence[str] = tuple(CORRUPTIONS)
) -> dict[str, SeverityCurve]:
    """A number of the task, e.g. `accuracy`, on ever worse images, by the kind of corruption.

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
