"""Search a learning rate: raise it over short runs, and find where the loss falls fastest.

usage: python launch.py find_lr [--config=EXPERIMENT] [--out=find_lr.png] [--steps=100]
       [--sweeps=3] [--json]

The loss is averaged over sweeps of several seeds, up to its first rise. A short run at the
suggestion verifies that it learns. The picture shows the loss over the learning rate; nothing else
is written.
"""

from absl import flags

from cnnlab.cli.config_flags import define_config_flag


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of this command."""
    define_config_flag(values)
    flags.DEFINE_string("out", "find_lr.png", "The picture to write.", flag_values=values)
    flags.DEFINE_integer("steps", 100, "Number of updates of a sweep.", flag_values=values)
    flags.DEFINE_integer("sweeps", 3, "Number of sweeps, one a seed.", flag_values=values)
    flags.DEFINE_float("lowest", 1e-5, "First learning rate.", flag_values=values)
    flags.DEFINE_float("highest", 10.0, "Last learning rate.", flag_values=values)
    flags.DEFINE_bool("json", False, "Print one JSON object, last.", flag_values=values)
