"""Which rows of an image each element of a traced network depends on."""

from cnnlab.analysis.dependence.interpret import follow
from cnnlab.analysis.dependence.reach import NOTHING

__all__ = ["NOTHING", "follow"]
