"""The task that a config describes."""

from cnnlab.config import Config
from cnnlab.tasks import Classification, Segmentation, Task

# The number that picks the best checkpoint where `evaluation.metric` is unset.
DEFAULT_METRICS = {"classification": "accuracy", "segmentation": "miou"}


def make_task(config: Config, num_classes: int) -> Task:
    """Builds the loss and the metrics of a run; raises a `UserError` for an unknown loss."""
    loss = config.loss
    if config.task == "classification":
        return Classification(num_classes, loss.label_smoothing)
    return Segmentation(
        num_classes,
        losses=loss.terms or {"cross_entropy": 1.0},
        options=loss.options,
        class_weights=loss.class_weights,
        label_smoothing=loss.label_smoothing,
        binary=loss.binary,
        boundary_tolerance=config.evaluation.boundary_tolerance,
    )
