r"""Train a network (or fit a classical baseline), or resume a run.

usage: python launch.py train [--config=EXPERIMENT] [--workdir=FOLDER] [--config.FIELD=VALUE ...]

  python launch.py train --config=lenet_digits
  python launch.py train --config=experiments/lenet_digits.py --workdir=runs/fast \
      --config.optimizer.learning_rate=0.02 --config.epochs=5
  python launch.py train --workdir=runs/fast        resumes that run
  python launch.py train --workdir=runs/fast --config.epochs=60
                                                    trains it longer, once it is complete
  python launch.py train --workdir=runs/big --launcher=slurm --slurm=timeout_min=600 \
      --slurm=nodes=2 --slurm=tasks_per_node=4 --slurm=gpus_per_node=4

A run is one folder with the resolved config, checkpoints, metrics and pictures. Training in a
folder that holds a run resumes it; a config that contradicts the saved one is refused, and the
difference is shown. SIGTERM and Ctrl-C save the state, then exit with status 143 and 130.

With --distributed, the processes of several hosts train one network, each on its share of every
batch; start the same command on all of them. With --launcher=slurm, the run is submitted as a job
of a Slurm cluster, whose tasks find each other (docs/scale.md).
"""

from cnnlab.cli.flag_definer import FlagDefiner
from cnnlab.cli.launcher import define_launcher_flags


def define_flags(define: FlagDefiner) -> None:
    """Defines the flags of this command."""
    define.config(default=None)
    define.string("workdir", None, "Folder of the run; runs/EXPERIMENT by default.")
    define.bool(
        "distributed",
        False,
        "Train together with the other hosts that run this command; see docs/scale.md.",
    )
    define.string(
        "coordinator",
        None,
        "HOST:PORT of the process with index 0. This and the next two are found by themselves "
        "under SLURM, on TPU pods, in Kubernetes and with Open MPI.",
    )
    define.integer("num_processes", None, "How many processes there are, one a host.")
    define.integer("process_index", None, "Which of them this one is, from 0.")
    define_launcher_flags(define, slurm="the run is a job")
