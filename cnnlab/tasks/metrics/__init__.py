"""Metrics of evaluation; importing this package registers the built-in ones."""

from cnnlab.tasks.metrics import decisions, scores

__all__ = ["decisions", "scores"]
