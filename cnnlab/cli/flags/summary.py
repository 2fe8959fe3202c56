"""Show the blocks of a network: output shapes, parameters, multiply-accumulates.

usage: python launch.py summary [--config=EXPERIMENT] [--input_size=224] [--depth=9] [--json]

  python launch.py summary --config.model.name=resnet50 --input_size=224 --channels=3 --classes=1000

Sizes default to those of the config's data set.
"""

from cnnlab.cli.flag_definer import FlagDefiner


def define_flags(define: FlagDefiner) -> None:
    """Defines the flags of this command."""
    define.config()
    for name, text in (
        ("input_size", "Height and width of the image in pixels."),
        ("channels", "Channels of the image."),
        ("classes", "Number of classes."),
    ):
        define.integer(name, None, text, lower_bound=1, upper_bound=2**16)
    define.integer(
        "depth",
        None,
        "Show each layer, with its memory, down to this level of modules, e.g. 9 for all of them; "
        "by default, one row for each block.",
        lower_bound=1,
    )
    define.json()
