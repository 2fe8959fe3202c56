"""Classical baselines: hand-crafted features and a linear classifier.

`fit` and `load_run` mirror those of `cnnlab.train`, with the same data, metrics and run folder.
"""

from cnnlab.classical.fitting import fit
from cnnlab.classical.hog import Hog
from cnnlab.classical.restore import ClassicalRun, load_run
from cnnlab.models.catalog import BASELINES

__all__ = ["BASELINES", "ClassicalRun", "Hog", "fit", "load_run"]
