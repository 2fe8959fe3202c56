"""Classical baselines: hand-made features and a linear classifier, run like the networks.

`fit` and `load_run` mirror those of `cnnlab.train`, with the same data, metrics and run folder.
"""

from cnnlab.classical.fitting import fit
from cnnlab.classical.hog import Hog
from cnnlab.classical.restore import ClassicalRun, load_run

# What `config.model.name` may say to get a baseline, with the line that `list models` prints.
BASELINES = {
    "hog": "Histograms of oriented gradients (Dalal & Triggs 2005) with logistic regression; "
    "no network."
}

__all__ = ["BASELINES", "ClassicalRun", "Hog", "fit", "load_run"]
