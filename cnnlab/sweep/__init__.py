"""Sweeps: many trials of one experiment, and their results.

found = sweep.run({"optimizer.learning_rate": "log(1e-3, 1)"}, config, folder="runs/lr",
                  trials=24, pruner="asha", workers=2)
"""

from cnnlab.sweep.pbt.training import population_based_training
from cnnlab.sweep.population.fitting import fit_group, group
from cnnlab.sweep.search import run
from cnnlab.sweep.space.param import choice, integer, log, log_integer, uniform

__all__ = [
    "choice",
    "fit_group",
    "group",
    "integer",
    "log",
    "log_integer",
    "population_based_training",
    "run",
    "uniform",
]
