"""Fits and loads runs of networks and of classical baselines."""

from pathlib import Path
from typing import Any

import numpy as np

from cnnlab import classical, inference, train
from cnnlab.config import Config
from cnnlab.inference.run import Run
from cnnlab.models.catalog import BASELINES
from cnnlab.train.callbacks.eval_images import EvalImages
from cnnlab.train.callbacks.progress import Display
from cnnlab.train.runtime.workdir import Workdir


def fit(config: Config, workdir: str | Path, *, display: Display) -> dict[str, Any]:
    """Trains a network or fits a baseline, with pictures and progress for the terminal."""
    if config.model.name in BASELINES:
        return classical.fit(config, workdir, display=display)
    return train.fit(config, workdir, callbacks=[display, EvalImages(_panel)])


def _panel(*examples: Any) -> np.ndarray:
    """Draws the pictures of `EvalImages`; imports matplotlib for the runs that have some."""
    from cnnlab.report.figures.overlays import panel

    return panel(*examples)


def load_run(workdir: str | Path, checkpoint: str) -> Run:
    """Loads the run of a network or a baseline."""
    baseline = Workdir(workdir).config().model.name in BASELINES
    return (classical if baseline else inference).load_run(workdir, checkpoint)
