r"""Train a network (or fit a classical baseline), or resume a run.

usage: python launch.py train [--config=EXPERIMENT] [--workdir=FOLDER] [--config.FIELD=VALUE ...]

  python launch.py train --config=lenet_digits
  python launch.py train --config=experiments/lenet_digits.py --workdir=runs/fast \
      --config.optimizer.learning_rate=0.05 --config.epochs=5
  python launch.py train --workdir=runs/fast        resumes that run
  python launch.py train --workdir=runs/big --launcher=slurm --slurm=timeout_min=600 \
      --slurm=nodes=2 --slurm=tasks_per_node=4 --slurm=gpus_per_node=4

A run is one folder; it holds the resolved config, checkpoints, metrics and pictures. Training on a
folder that holds a run resumes it; with a config that contradicts the saved one it stops and shows
the difference. SIGTERM and Ctrl-C save, then exit with status 143 and 130.

With --distributed, the processes of several hosts train one network, each on its share of every
batch; start this same command on all of them. With --launcher=slurm, the run is submitted as a job
of a Slurm cluster, whose tasks, if they are several, find each other. See docs/scale.md.
"""

import sys
from pathlib import Path

from absl import flags

from cnnlab.cli.arguments import refuse_positional
from cnnlab.cli.config_flags import (
    DEFAULT_EXPERIMENT,
    config_lines,
    define_config_flag,
    resolve_config,
)
from cnnlab.cli.hosts import define_host_flags, together
from cnnlab.cli.launcher import define_launcher_flags, on_slurm
from cnnlab.cli.platform import enable_compilation_cache
from cnnlab.config import Config, apply_overrides, validate
from cnnlab.errors import UserError


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of this command."""
    define_config_flag(values, default=None)
    flags.DEFINE_string(
        "workdir", None, "Folder of the run; runs/EXPERIMENT where unset.", flag_values=values
    )
    define_host_flags(values)
    define_launcher_flags(values, slurm="the run is a job")


def run(values: flags.FlagValues, overrides: dict[str, str], positional: list[str]) -> int:
    """Trains, draws, and says what to do next."""
    refuse_positional("train", positional)
    if on_slurm(values):
        return _submit(values, overrides)
    with together(values):
        return _train(values, overrides)


def _train(values: flags.FlagValues, overrides: dict[str, str]) -> int:
    config, workdir = _config_and_workdir(values, overrides)
    validate(config)
    enable_compilation_cache()
    from cnnlab.classical import BASELINES
    from cnnlab.cli.runs import fit
    from cnnlab.report.run_pictures import draw_run
    from cnnlab.train import hosts
    from cnnlab.train.display import Silence, make_display
    from cnnlab.train.interrupts import Interrupted

    if values.distributed and config.model.name in BASELINES:
        raise UserError(f"model.name={config.model.name} is fitted on one host, not --distributed.")
    first = not values.distributed or hosts.is_first()
    display = make_display() if first else Silence()
    display.note(f"cnnlab: {config.model.name} on {config.data.name}, in {workdir}")
    for line in config_lines(config):
        display.note(line)
    try:
        result = fit(config, workdir, display=display)
    except Interrupted as stop:
        if first:
            draw_run(workdir)
            print(f"{stop} Go on with: python launch.py train --workdir={workdir}", file=sys.stderr)
        return 128 + stop.signum
    if not first:
        return 0
    pictures = draw_run(workdir)
    test = result["test"]
    network = config.model.name not in BASELINES
    summary = f"  python launch.py summary --config={workdir}/config.json\n" if network else ""
    out = " --out=FOLDER" if config.task == "segmentation" else ""
    numbers = "  ".join(f"{name} {_show(name, value)}" for name, value in test.items())
    print(
        f"\ntest: {numbers}\n"
        f"  {result['num_parameters']:,} parameters, {result['seconds']:.1f} s of training, "
        f"weights of step {result['checkpoint_step']} of {result['steps']}\n"
        f"  pictures: {' '.join(map(str, pictures))}\n"
        f"\nnext:\n"
        f"  python launch.py eval --workdir={workdir}\n"
        f"  python launch.py predict --workdir={workdir} IMAGE.png{out}\n"
        f"{summary}"
        f"  tensorboard --logdir={workdir}        (pip install tensorboard)"
    )
    return 0


def _submit(values: flags.FlagValues, overrides: dict[str, str]) -> int:
    from cnnlab.cli.run_job import submit_run

    if values.distributed:
        raise UserError(
            "--distributed is for the hosts themselves: leave it out. A job with several tasks, "
            "e.g. --slurm=tasks_per_node=4, trains with them all."
        )
    config, workdir = _config_and_workdir(values, overrides)
    validate(config)
    (job,) = submit_run(config, workdir, options=values.slurm)
    print(
        f"submitted: {job}\n"
        f"  it prints to {workdir}/logs/{job}_0_log.out and {job}_0_log.err\n"
        f"next:\n"
        f"  squeue --job={job}\n"
        f"  scancel {job}        saves and stops; the same command goes on"
    )
    return 0


def _show(name: str, value: float | None) -> str:
    if value is None:
        return "none"
    return f"{value:.4f}" if name == "loss" else f"{100 * value:.2f} %"


def _config_and_workdir(values: flags.FlagValues, overrides: dict[str, str]) -> tuple[Config, Path]:
    """The asked config; a folder that holds a run gives its own where --config is left out."""
    from cnnlab.train.workdir import Workdir

    name = values.config
    workdir = Path(values.workdir or f"runs/{Path(name or DEFAULT_EXPERIMENT).stem}")
    if name is None and values.workdir and Workdir(workdir).has_run:
        return apply_overrides(Workdir(workdir).config(), overrides), workdir
    return resolve_config(name or DEFAULT_EXPERIMENT, overrides), workdir
