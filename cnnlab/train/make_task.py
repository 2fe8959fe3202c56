"""The task that a config describes."""

from cnnlab.config import Config
from cnnlab.tasks import Classification, Task

# The number that picks the best checkpoint where `evaluation.metric` is unset.
DEFAULT_METRICS = {"classification": "accuracy", "segmentation": "miou"}


def make_task(config: Config, num_classes: int) -> Task:
    """Builds the loss and the metrics of a run; raises a `UserError` for an unknown loss."""
    return Classification(num_classes, config.loss.label_smoothing)
