from .fitting import fit
from .hog import Hog
from .restore import ClassicalRun, load_run

__all__ = ["ClassicalRun", "Hog", "fit", "load_run"]
