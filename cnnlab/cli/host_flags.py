"""The flags with which hosts meet."""

from absl import flags


def define_host_flags(values: flags.FlagValues) -> None:
    """Defines `--distributed` and the flags that go with it."""
    flags.DEFINE_bool(
        "distributed",
        False,
        "Train together with the other hosts that run this command; see docs/scale.md.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "coordinator",
        None,
        "HOST:PORT of the process with index 0. This and the next two are found by themselves "
        "under SLURM, on TPU pods, in Kubernetes and with Open MPI.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "num_processes", None, "How many processes there are, one a host.", flag_values=values
    )
    flags.DEFINE_integer(
        "process_index", None, "Which of them this one is, from 0.", flag_values=values
    )
