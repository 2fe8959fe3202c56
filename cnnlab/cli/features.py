"""Write what a network makes of images: its embedding, and with --maps its feature maps.

usage: python launch.py features --workdir=FOLDER [--split=test | IMAGE...] [--maps] [--out=x.npz]
       python launch.py features --config=EXPERIMENT --config.model.pretrained=SOURCE ...

The network is that of a run, or a pretrained one. The file, for numpy.load, holds `embedding`
[examples, c], `label` or `path`, `class_names`, and with --maps `stride4` and so on [examples,
height, width, c]; `strides` and `map_names` tell the maps' strides. Nothing of a size that grows
with the data is held in memory.
"""

import json

import numpy as np
from absl import flags

from cnnlab.cli.config_flags import define_config_flag, resolve_config
from cnnlab.cli.platform import enable_compilation_cache
from cnnlab.config import Config
from cnnlab.errors import UserError, did_you_mean


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


def run(values: flags.FlagValues, overrides: dict[str, str], positional: list[str]) -> int:
    """Computes, writes, and says what was written."""
    configured = values.config is not None or bool(overrides)
    if configured == (values.workdir is not None):
        raise UserError(
            "features needs a network: set either --workdir, for that of a run, or --config and "
            "--config.model.pretrained, for a pretrained one."
        )
    if positional and values["split"].present:
        raise UserError(f"Give either --split={values.split} or images, and not both.")
    enable_compilation_cache()
    from cnnlab.cli.runs import load_run
    from cnnlab.data.folder import FolderSource
    from cnnlab.train.features import write_features
    from cnnlab.train.restore import TrainedRun
    from cnnlab.train.setup import load_data, make_setup

    if configured:
        config = resolve_config(values.config or "lenet_digits", overrides)
        _check_pretrained(config)
        dataset = load_data(config)
        setup = make_setup(config, dataset.info)
        variables = setup.create_state().variables
    else:
        trained = load_run(values.workdir, values.checkpoint)
        if not isinstance(trained, TrainedRun):
            raise UserError(
                f"{values.workdir} holds a classical baseline ('{trained.config.model.name}'), "
                "and only networks have features that are learned."
            )
        setup, variables = trained.setup, trained.variables
        dataset = None if positional else load_data(trained.config)
    if positional:
        shape = setup.info.image_shape
        source = FolderSource(positional, np.zeros(len(positional), np.int32), shape)
    elif values.split in dataset.splits:
        source = dataset.splits[values.split]
    else:
        raise UserError(
            f"--split='{values.split}': {dataset.info.name} has no such split."
            + did_you_mean(values.split, dataset.splits)
        )
    shapes = write_features(
        values.out, setup, variables, source, maps=values.maps, paths=positional or None
    )
    if values.json:
        print(json.dumps({"out": values.out, "shapes": shapes}))
        return 0
    print(f"{values.out}:")
    for name, shape in shapes.items():
        print(f"  {name:<10} {'x'.join(map(str, shape))}")
    return 0


def _check_pretrained(config: Config) -> None:
    if config.model.pretrained is None:
        raise UserError(
            "The network of --config has random weights: set --config.model.pretrained, or take "
            "that of a run by --workdir."
        )
