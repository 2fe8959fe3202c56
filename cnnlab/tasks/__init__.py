"""Tasks: what a network is trained for, and how it is judged."""

from cnnlab.tasks.classification import Classification, per_class_accuracy

__all__ = ["Classification", "per_class_accuracy"]
