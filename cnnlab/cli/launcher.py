"""The flags that say where a command's work is done: here, or in jobs of a Slurm cluster."""

from absl import flags

from cnnlab.errors import UserError

_LAUNCHERS = ("local", "slurm")


def define_launcher_flags(values: flags.FlagValues, slurm: str) -> None:
    """Defines `--launcher` and `--slurm`; the text says what is a job."""
    flags.DEFINE_string("launcher", "local", f"local, or slurm: {slurm}.", flag_values=values)
    flags.DEFINE_multi_string(
        "slurm",
        [],
        "NAME=VALUE of a job, e.g. slurm_partition=gpu or timeout_min=600 (5 where unset), as "
        "submitit calls them",
        flag_values=values,
    )


def on_slurm(values: flags.FlagValues) -> bool:
    """Whether jobs are asked for; raises a `UserError` for a launcher that does not exist."""
    if values.launcher not in _LAUNCHERS:
        raise UserError(f"--launcher={values.launcher} must be one of {', '.join(_LAUNCHERS)}.")
    if values.slurm and values.launcher != "slurm":
        raise UserError(f"--slurm={values.slurm[0]} is for jobs: add --launcher=slurm.")
    return values.launcher == "slurm"
