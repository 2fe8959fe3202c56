"""Show the blocks of a network: output shapes, parameters, multiply-accumulates.

usage: python launch.py summary [--config=EXPERIMENT] [--input_size=224] [--depth=9] [--json]

  python launch.py summary --config.model.name=resnet50 --input_size=224 --channels=3 --classes=1000

Sizes default to those of the config's data set.
"""

from absl import flags

from cnnlab.cli.config_flags import define_config_flag


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of this command."""
    define_config_flag(values)
    for name, text in (
        ("input_size", "Height and width of the image in pixels."),
        ("channels", "Channels of the image."),
        ("classes", "Number of classes."),
    ):
        flags.DEFINE_integer(name, None, text, lower_bound=1, upper_bound=2**16, flag_values=values)
    flags.DEFINE_integer(
        "depth",
        None,
        "Show each layer, with its memory, down to this level of modules, e.g. 9 for all of them; "
        "by default, one row for each block.",
        lower_bound=1,
        flag_values=values,
    )
    flags.DEFINE_bool("json", False, "Print one JSON object, last.", flag_values=values)
