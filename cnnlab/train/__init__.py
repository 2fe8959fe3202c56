"""Training: state, steps, optimizers, the loop, checkpoints, records."""

from cnnlab.train.evaluate import evaluate
from cnnlab.train.features import write_features
from cnnlab.train.finetune import split_optimizer
from cnnlab.train.interrupts import Interrupted
from cnnlab.train.journal import Diverged
from cnnlab.train.loop import fit
from cnnlab.train.lr_finder import find_learning_rate
from cnnlab.train.optimizer import list_optimizers, make_optimizer
from cnnlab.train.parallel import make_parallel
from cnnlab.train.programs import Programs
from cnnlab.train.restore import TrainedRun, load_run
from cnnlab.train.schedule import make_schedule
from cnnlab.train.setup import Setup, load_data, make_setup
from cnnlab.train.state import TrainState, create_state, num_parameters
from cnnlab.train.step import make_eval_step, make_train_step
from cnnlab.train.watch import Pruned

__all__ = [
    "Diverged",
    "Interrupted",
    "Programs",
    "Pruned",
    "Setup",
    "TrainState",
    "TrainedRun",
    "create_state",
    "evaluate",
    "find_learning_rate",
    "fit",
    "list_optimizers",
    "load_data",
    "load_run",
    "make_eval_step",
    "make_optimizer",
    "make_parallel",
    "make_schedule",
    "make_setup",
    "make_train_step",
    "num_parameters",
    "split_optimizer",
    "write_features",
]
