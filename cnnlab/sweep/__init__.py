"""Sweeps: many trials of one experiment, and what to make of them.

found = sweep.run({"optimizer.learning_rate": "log(1e-3, 1)"}, config, folder="runs/lr",
                  trials=24, pruner="asha", workers=2)
"""

from cnnlab.sweep.param import choice, integer, log, log_integer, uniform
from cnnlab.sweep.pbt import population_based_training
from cnnlab.sweep.population import fit_group, group
from cnnlab.sweep.run import run

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
