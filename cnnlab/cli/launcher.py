"""The flags for where a command runs: here, in jobs of a Slurm cluster, or in tasks of Ray."""

from absl import flags

from cnnlab.cli.flag_definer import FlagDefiner
from cnnlab.errors import UserError


def define_launcher_flags(define: FlagDefiner, slurm: str, ray: str | None = None) -> None:
    """Defines `--launcher`, `--slurm` and `--ray`; the texts say what is a job and a task."""
    launchers = (
        f"local, or slurm: {slurm}" if ray is None else f"local; slurm: {slurm}; or ray: {ray}"
    )
    define.string("launcher", "local", f"{launchers}.")
    define.multi_string(
        "slurm",
        [],
        "NAME=VALUE of a job, e.g. slurm_partition=gpu or timeout_min=600 (5 where unset), as "
        "submitit calls them",
    )
    if ray is not None:
        define.multi_string(
            "ray",
            [],
            "NAME=VALUE: address=auto for the cluster of this machine, one on this machine alone "
            "where unset; num_cpus or num_gpus of a task, an equal share where unset",
        )


def read_launcher(values: flags.FlagValues) -> str:
    """The launcher; raises a `UserError` for one that does not exist, or options of another."""
    launchers = [name for name in ("local", "slurm", "ray") if name == "local" or name in values]
    if values.launcher not in launchers:
        raise UserError(f"--launcher={values.launcher} must be one of {', '.join(launchers)}.")
    for name, what in (("slurm", "jobs"), ("ray", "tasks")):
        if name in values and values[name].value and values.launcher != name:
            raise UserError(
                f"--{name}={values[name].value[0]} is for {what}: add --launcher={name}."
            )
    return values.launcher
