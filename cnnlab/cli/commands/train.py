"""Runs `launch.py train`; its help and its flags are `cnnlab.cli.flags.train`."""

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from absl import flags

from cnnlab.cli.config_flags import (
    DEFAULT_EXPERIMENT,
    config_lines,
    resolve_config,
)
from cnnlab.cli.distributed_session import together
from cnnlab.cli.jax_setup import enable_compilation_cache
from cnnlab.cli.launcher import read_launcher
from cnnlab.cli.main import main
from cnnlab.cli.runs import fit
from cnnlab.cli.terminal import console
from cnnlab.config import Config, apply_overrides, to_json, validate, with_plugins
from cnnlab.errors import UserError
from cnnlab.models.catalog import BASELINES
from cnnlab.program import program
from cnnlab.storage.object_store import is_url, located, refuse_url
from cnnlab.tasks.words import show_score
from cnnlab.train.callbacks.progress import Silence, make_display
from cnnlab.train.runtime import hosts, slurm
from cnnlab.train.runtime.signals import Interrupted
from cnnlab.train.runtime.workdir import Workdir


def run(values: flags.FlagValues, overrides: dict[str, str], positional: list[str]) -> int:
    """Trains a run, draws its pictures, and prints what to do next."""
    if read_launcher(values) == "slurm":
        return _submit(values, overrides)
    with together(values):
        return _train(values, overrides)


def _train(values: flags.FlagValues, overrides: dict[str, str]) -> int:
    config, workdir = _config_and_workdir(values, overrides)
    validate(config)
    enable_compilation_cache()
    if values.distributed and config.model.name in BASELINES:
        raise UserError(f"model.name={config.model.name} is fitted on one host, not --distributed.")
    first = not values.distributed or hosts.is_first()
    display = make_display(console()) if first else Silence()
    display.note(f"cnnlab: {config.model.name} on {config.data.name}, in {workdir}")
    for line in config_lines(config):
        display.note(line)
    try:
        result = fit(config, workdir, display=display)
    except Interrupted as stop:
        if first:
            _draw(workdir)
            print(f"{stop} Resume with: {program()} train --workdir={workdir}", file=sys.stderr)
        return 128 + stop.signum
    if not first:
        return 0
    pictures = _draw(workdir)
    test = result["test"]
    network = config.model.name not in BASELINES
    here = not is_url(workdir)
    summary = f"  {program()} summary --config={workdir}/config.json\n" if network and here else ""
    board = f"  tensorboard --logdir={workdir}        (pip install tensorboard)" if here else ""
    out = " --out=FOLDER" if config.task == "segmentation" else ""
    numbers = "  ".join(f"{name} {show_score(value, name)}" for name, value in test.items())
    print(
        f"\ntest: {numbers}\n"
        f"  {result['num_parameters']:,} parameters, {result['seconds']:.1f} s of training, "
        f"weights of step {result['checkpoint_step']} of {result['steps']}\n"
        f"  pictures: {' '.join(f'{workdir}/{picture.name}' for picture in pictures)}\n"
        f"\nnext:\n"
        f"  {program()} eval --workdir={workdir}\n"
        f"  {program()} predict --workdir={workdir} IMAGE.png{out}\n"
        f"{summary}"
        f"{board}"
    )
    return 0


def _draw(workdir: Path | str) -> list[Path]:
    """Draws the pictures of the run; matplotlib is imported only now, after training."""
    from cnnlab.report.run_page.run_pictures import draw_run

    return draw_run(workdir)


def _submit(values: flags.FlagValues, overrides: dict[str, str]) -> int:
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
        f"  scancel {job}        saves and stops; the same command resumes"
    )
    return 0


def submit_run(
    config: Config, workdir: Path | str, *, options: Sequence[str] = (), cluster: str = "slurm"
) -> list[str]:
    """Submits `train` with this config as one job, through `cnnlab.train.runtime.slurm.submit`.

    The config is saved now, so edits of files while the job waits have no effect.

    Raises:
      UserError: the job cannot be submitted, or the folder holds a run with another config.
    """
    refuse_url(workdir, "a job prints into it, so choose a workdir that the nodes share")
    folder = Workdir(workdir.resolve())
    if folder.has_run:
        folder.check_config(config, longer=True)
    logs = Workdir(folder.path / "logs")
    logs.create()
    logs.write("experiment.json", to_json(with_plugins(config)))
    given = [f"--config={logs.path / 'experiment.json'}", f"--workdir={folder.path}"]
    work = partial(_train_in_a_job, given)
    return slurm.submit(work, name=workdir.name, folder=logs.path, options=options, cluster=cluster)


def _train_in_a_job(given: list[str]) -> int:
    """Runs in each task of the job; several tasks train together."""
    import submitit  # optional: the extra "slurm"

    several = submitit.JobEnvironment().num_tasks > 1
    # Also for the record of the run.
    sys.argv = ["launch.py", "train", *given, *(["--distributed"] if several else [])]
    return main(sys.argv)


def _config_and_workdir(
    values: flags.FlagValues, overrides: dict[str, str]
) -> tuple[Config, Path | str]:
    """Returns config and workdir; without --config, a run's folder provides its own config."""
    name = values.config
    workdir = located(values.workdir or f"runs/{Path(name or DEFAULT_EXPERIMENT).stem}")
    if name is None and values.workdir and Workdir(workdir).has_run:
        return apply_overrides(Workdir(workdir).config(), overrides), workdir
    return resolve_config(name or DEFAULT_EXPERIMENT, overrides), workdir
