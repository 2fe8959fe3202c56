"""The flags with which hosts meet."""

from cnnlab.cli.flag_definer import FlagDefiner


def define_host_flags(define: FlagDefiner) -> None:
    """Defines `--distributed` and the flags that go with it."""
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
