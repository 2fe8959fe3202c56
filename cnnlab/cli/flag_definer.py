"""Definition of a command's flags, with those that several commands have."""

from functools import partial

from absl import flags

from cnnlab.cli.config_flags import DEFAULT_EXPERIMENT


class FlagDefiner:
    """absl's `DEFINE_string`, `DEFINE_integer`, ... for the flags of one command.

    Each takes the name of a flag, its default, its help, and what else absl's function takes.
    """

    def __init__(self, values: flags.FlagValues):
        """Defines flags in `values`."""
        self.string = partial(flags.DEFINE_string, flag_values=values)
        self.integer = partial(flags.DEFINE_integer, flag_values=values)
        self.float = partial(flags.DEFINE_float, flag_values=values)
        self.bool = partial(flags.DEFINE_bool, flag_values=values)
        self.enum = partial(flags.DEFINE_enum, flag_values=values)
        self.list = partial(flags.DEFINE_list, flag_values=values)
        self.multi_string = partial(flags.DEFINE_multi_string, flag_values=values)

    def config(self, default: str | None = DEFAULT_EXPERIMENT) -> None:
        """Defines `--config`."""
        self.string(
            "config",
            default,
            "Experiment: path of its file, bare name (see 'python launch.py list experiments'), or "
            "a config.json. Any field is set by --config.FIELD=VALUE.",
        )

    def run(self) -> None:
        """Defines `--workdir` and `--checkpoint`, which name the weights of a run."""
        self.string("workdir", None, "Folder of the run.")
        self.string("checkpoint", "best", "Which weights of the run: best, latest or a step.")

    def split(self) -> None:
        """Defines `--split`."""
        self.string("split", "test", "Which split: train, validation or test.")

    def json(self) -> None:
        """Defines `--json`."""
        self.bool("json", False, "Print one JSON object, last.")
