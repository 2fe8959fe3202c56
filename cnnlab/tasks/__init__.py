"""Tasks: what a network is trained for, and how it is judged."""

from cnnlab.tasks.classification import Classification, per_class_accuracy
from cnnlab.tasks.segmentation import Segmentation
from cnnlab.tasks.task import Task

__all__ = ["Classification", "Segmentation", "Task", "per_class_accuracy"]
