from .callbacks.base import Callback, Stop
from .callbacks.pruning import Pruned
from .engines.compiled_steps import CompiledSteps
from .evaluation import evaluate
from .experiment import Experiment, build_experiment
from .loop import fit
from .lr_finder import find_learning_rate
from .member import Diverged
from .optim.finetune import split_optimizer
from .optim.optimizer import list_optimizers, make_optimizer
from .optim.schedule import make_schedule
from .run_data import load_data
from .runtime.devices import make_parallel
from .runtime.signals import Interrupted
from .state import TrainState, create_state, num_parameters
from .step import make_eval_step, make_train_step

__all__ = [
    "Callback",
    "CompiledSteps",
    "Diverged",
    "Experiment",
    "Interrupted",
    "Pruned",
    "Stop",
    "TrainState",
    "build_experiment",
    "create_state",
    "evaluate",
    "find_learning_rate",
    "fit",
    "list_optimizers",
    "load_data",
    "make_eval_step",
    "make_optimizer",
    "make_parallel",
    "make_schedule",
    "make_train_step",
    "num_parameters",
    "split_optimizer",
]
