"""Fits and loads a run by the code that its model belongs to: network or classical baseline."""

from pathlib import Path
from typing import Any

from cnnlab import classical, train
from cnnlab.config import Config
from cnnlab.train.display import Display
from cnnlab.train.restore import Run
from cnnlab.train.workdir import Workdir


def fit(config: Config, workdir: str | Path, *, display: Display) -> dict[str, Any]:
    """See `cnnlab.train.fit` and `cnnlab.classical.fit`."""
    if _package(config) is classical:
        return classical.fit(config, workdir, display=display)
    from cnnlab.report.overlays import panel  # matplotlib takes its time

    return train.fit(config, workdir, display=display, picture=panel)


def load_run(workdir: str | Path, checkpoint: str) -> Run:
    """See `cnnlab.train.load_run` and `cnnlab.classical.load_run`."""
    return _package(Workdir(workdir).config()).load_run(workdir, checkpoint)


def _package(config: Config) -> Any:
    return classical if config.model.name in classical.BASELINES else train
