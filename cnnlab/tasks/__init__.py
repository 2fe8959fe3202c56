"""Tasks: losses and metrics of classification, multi-label classification and segmentation."""

from cnnlab.tasks.classification import Classification, per_class_accuracy
from cnnlab.tasks.multilabel import Multilabel
from cnnlab.tasks.segmentation import Segmentation
from cnnlab.tasks.task import Task

__all__ = ["Classification", "Multilabel", "Segmentation", "Task", "per_class_accuracy"]
