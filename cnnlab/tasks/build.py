"""The task that a config describes."""

from collections.abc import Sequence

from cnnlab.config import Config
from cnnlab.errors import UserError, did_you_mean
from cnnlab.registry import METRICS
from cnnlab.tasks import (
    Classification,
    Multilabel,
    Segmentation,
    Task,
    classification,
    multilabel,
    segmentation,
)
from cnnlab.tasks.losses.images import balanced_weights
from cnnlab.tasks.metrics.registered import Metric, make_metrics, metric_modes

# The metric that picks the best checkpoint where `evaluation.metric` is unset.
DEFAULT_METRICS = {"classification": "accuracy", "multilabel": "f1", "segmentation": "miou"}

_OWN_METRICS = {
    "classification": classification.METRICS,
    "multilabel": multilabel.METRICS,
    "segmentation": segmentation.METRICS,
}


def make_task(config: Config, num_classes: int, class_counts: Sequence[int] | None = None) -> Task:
    """Builds the task of a run: its losses and metrics.

    Args:
      config: the run's config.
      num_classes: number of classes.
      class_counts: number of training examples (pixels for segmentation) of each class, if known.

    Raises:
      UserError: an unknown task, loss or metric, or `balanced` class weights for a data set
        whose classes were not counted.
    """
    if config.task not in DEFAULT_METRICS:
        raise UserError(
            f"Unknown task '{config.task}'.{did_you_mean(config.task, DEFAULT_METRICS)}"
        )
    loss = config.loss
    default = "binary_cross_entropy" if config.task == "multilabel" else "cross_entropy"
    terms = loss.terms or {default: 1.0}
    class_weights = loss.class_weights
    if class_weights == "balanced":
        class_weights = _balanced(config, class_counts)
    metrics = _extra_metrics(config, num_classes)
    if config.task != "segmentation":
        kind = Multilabel if config.task == "multilabel" else Classification
        return kind(
            num_classes,
            loss.label_smoothing,
            losses=terms,
            options=loss.options,
            class_weights=class_weights,
            extra_metrics=metrics,
        )
    return Segmentation(
        num_classes,
        losses=terms,
        options=loss.options,
        class_weights=class_weights,
        label_smoothing=loss.label_smoothing,
        binary=loss.binary,
        boundary_tolerance=config.evaluation.boundary_tolerance,
        extra_metrics=metrics,
    )


def metric_of(config: Config) -> str:
    """Returns the name of the metric that picks a run's best checkpoint."""
    return config.evaluation.metric or DEFAULT_METRICS[config.task]


def checked_metric(config: Config, task: Task) -> str:
    """Returns the metric that picks the best checkpoint; raises a `UserError` if it is unknown."""
    metric = metric_of(config)
    if metric not in task.metrics:
        raise UserError(
            f"evaluation.metric='{metric}' is not a metric of {config.task}."
            + did_you_mean(metric, task.metrics)
        )
    return metric


def higher_is_better(config: Config) -> bool:
    """Whether larger values of `metric_of(config)` are better; True for an unknown metric."""
    name, known = metric_of(config), _OWN_METRICS[config.task]
    if name not in known and METRICS.find(name, task=config.task):
        known = metric_modes([name], task=config.task)
    return known.get(name, "max") == "max"


def _balanced(config: Config, class_counts: Sequence[int] | None) -> Sequence[float]:
    if not class_counts:
        raise UserError(
            f"loss.class_weights=balanced: the classes of {config.data.name} are not counted, "
            "because its labels are known only once images are read: set the weights as numbers."
        )
    return balanced_weights(class_counts)


def _extra_metrics(config: Config, num_classes: int) -> dict[str, Metric]:
    """The metrics that the config names and that are not those of its task."""
    own, evaluation = _OWN_METRICS[config.task], config.evaluation
    names = [name for name in evaluation.metrics if name not in own]
    if evaluation.metric is not None and evaluation.metric not in (*own, *names):
        names.append(evaluation.metric)
    for name in names:
        if METRICS.find(name, task=config.task) is None:
            field = "metrics" if name in evaluation.metrics else "metric"
            known = [*own, *METRICS.names(task=config.task)]
            raise UserError(
                f"evaluation.{field}='{name}' is not a metric of {config.task}."
                + did_you_mean(name, known)
            )
    return make_metrics(names, task=config.task, num_classes=num_classes)
