"""Write a network's features of images: its embedding, and with --maps its feature maps.

usage: python launch.py features --workdir=FOLDER [--split=test | IMAGE...] [--maps] [--out=x.npz]
       python launch.py features --config=EXPERIMENT --config.model.pretrained=SOURCE ...

The network is a run's or a pretrained one. The file, for numpy.load, holds `embedding`
[examples, c], `label` or `path`, `class_names`, and with --maps `stride4` and so on [examples,
height, width, c]; `strides` and `map_names` list the maps. Memory use does not grow with the number
of examples.
"""

from absl import flags

from cnnlab.cli.config_flags import define_config_flag


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of this command."""
    define_config_flag(values, default=None)
    flags.DEFINE_string("workdir", None, "Folder of a run.", flag_values=values)
    flags.DEFINE_string(
        "split", "test", "Which split: train, validation or test.", flag_values=values
    )
    flags.DEFINE_string(
        "checkpoint", "best", "Which weights of the run: best, latest or a step.",
        flag_values=values,
    )  # fmt: skip
    flags.DEFINE_bool("maps", False, "Write the feature maps too.", flag_values=values)
    flags.DEFINE_string("out", "features.npz", "The file to write.", flag_values=values)
    flags.DEFINE_bool("json", False, "Print one JSON object, last.", flag_values=values)
