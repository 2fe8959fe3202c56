from .features import write_features
from .run import Run, TrainedRun, evaluate_run, load_run

__all__ = ["Run", "TrainedRun", "evaluate_run", "load_run", "write_features"]
