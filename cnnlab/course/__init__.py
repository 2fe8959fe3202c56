"""The course on computer vision in running code: figures and experiments of `docs/course`."""

from cnnlab.course.drawing import EXPERIMENTS, FIGURES, build, check_names

__all__ = ["EXPERIMENTS", "FIGURES", "build", "check_names"]
