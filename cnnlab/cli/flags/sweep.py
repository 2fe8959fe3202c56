r"""Search hyper-parameters: many trials of one experiment, on one machine or many.

usage: python launch.py sweep --config=EXPERIMENT --param=PATH=RANGE ... [--study=FOLDER] [FLAGS]

  python launch.py sweep --config=lenet_digits --param='optimizer.learning_rate=log(1e-3, 1)' \
      --param='model.name=[lenet, mlp]' --trials=24 --pruner=asha --workers=2
  python launch.py sweep --study=runs/lenet_digits_sweep            resumes that study
  python launch.py sweep --study=runs/lenet_digits_sweep --status   shows its progress
  python launch.py sweep --study=FOLDER --storage=postgresql://USER@HOST/DB ...
                                        the same command on each machine joins one study

Ranges: log(a, b), uniform(a, b), int(a, b), logint(a, b); lists: [a, b, c], range(n),
linspace(a, b, n), geomspace(a, b, n); for some trials only: '... if model.name == mlp'. Without
--param, the experiment's function sweep() defines the space.

A study is a folder. Every trial is an ordinary run in it, under trials/. The same command resumes a
study that was stopped by Ctrl-C or kill -9; one that contradicts it is refused, and the difference
is shown. A larger --trials extends it.
"""

from cnnlab.cli.flag_definer import FlagDefiner
from cnnlab.cli.launcher import define_launcher_flags


def define_flags(define: FlagDefiner) -> None:
    """Defines the flags of this command."""
    define.config(default=None)
    define.string("study", None, "Folder of the study; runs/EXPERIMENT_sweep by default.")
    define.multi_string("param", [], "PATH=RANGE of a hyper-parameter.")
    define.multi_string(
        "constraint",
        [],
        "Condition that every trial fulfils, e.g. 'optimizer.learning_rate * batch_size <= 64'.",
    )
    define.integer("trials", None, "Number of trials; by default all of a grid or of lists.")
    define.string(
        "sampler",
        None,
        "grid, random, sobol, tpe, cmaes or gp; tpe(startup=N), gp(startup=N); default tpe.",
    )
    define.string(
        "pruner",
        None,
        "Stops bad trials early: none, median(first=N, startup=N), asha(first=N, factor=N) or "
        "hyperband(factor=N), with evaluations counted from 1; default none.",
    )
    define.integer(
        "repeats", None, "Number of runs of each trial, with consecutive seeds; default 1."
    )
    define.integer(
        "seed", None, "Seed of the sampler, default 0; --config.seed is that of the runs."
    )
    define.integer(
        "workers", 1, "Number of processes, which share the machine's processors and devices."
    )
    define.string(
        "population",
        "auto",
        "Number of trials with the same program (they differ only in learning rate, decay, "
        "dropout, augmentation, seed, ...) that are trained side by side: auto chooses by speed; "
        "off; or a number.",
    )
    define.string(
        "storage", None, "Database of a study on many machines: postgresql://USER@HOST/DATABASE."
    )
    define_launcher_flags(
        define, slurm="each worker is a job of a Slurm array", ray="each worker is a task of Ray"
    )
    define.bool("dry_run", False, "List the trials without running them.")
    define.bool("status", False, "Show the progress of the study.")
    define.json()
