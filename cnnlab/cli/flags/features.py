"""Write a network's features of images: its embedding, and with --maps its feature maps.

usage: python launch.py features --workdir=FOLDER [--split=test | IMAGE...] [--maps] [--out=x.npz]
       python launch.py features --config=EXPERIMENT --config.model.pretrained=SOURCE ...

The network is a run's or a pretrained one. The file, for numpy.load, holds `embedding`
[examples, c], `label` or `path`, `class_names`, and with --maps `stride4` and so on [examples,
height, width, c]; `strides` and `map_names` list the maps. Memory use does not grow with the number
of examples.
"""

from cnnlab.cli.flag_definer import FlagDefiner


def define_flags(define: FlagDefiner) -> None:
    """Defines the flags of this command."""
    define.config(default=None)
    define.run()
    define.split()
    define.bool("maps", False, "Write the feature maps too.")
    define.string("out", "features.npz", "The file to write.")
    define.json()
