"""Runs `launch.py features`; its help and its flags are `cnnlab.cli.flags.features`."""

import json

import numpy as np
from absl import flags

from cnnlab.cli.arguments import to_stderr
from cnnlab.cli.config_flags import resolve_config
from cnnlab.cli.jax_setup import enable_compilation_cache
from cnnlab.cli.runs import load_run
from cnnlab.data.describe import describe
from cnnlab.data.sources.folder import FolderSource
from cnnlab.errors import UserError, did_you_mean
from cnnlab.inference.features import write_features
from cnnlab.inference.run import TrainedRun, run_data
from cnnlab.storage.output_file import check_output
from cnnlab.train.experiment import build_experiment
from cnnlab.train.run_data import load_data
from cnnlab.train.warm_start import initial_state


def run(values: flags.FlagValues, overrides: dict[str, str], positional: list[str]) -> None:
    """Computes and writes features, and prints what was written."""
    configured = values.config is not None or bool(overrides)
    if configured == (values.workdir is not None):
        raise UserError(
            "features needs a network: set either --workdir, for that of a run, or --config and "
            "--config.model.pretrained, for a pretrained one."
        )
    if positional and values["split"].present:
        raise UserError(f"Give either --split={values.split} or images, and not both.")
    check_output(values.out)
    enable_compilation_cache()
    if configured:
        config = resolve_config(values.config or "lenet_digits", overrides)
        if config.model.pretrained is None:
            raise UserError(
                "The network of --config has random weights: set --config.model.pretrained, or "
                "take that of a run by --workdir."
            )
        dataset = load_data(config)
        experiment = build_experiment(config, dataset.info)
        variables = initial_state(experiment).variables
    else:
        trained = load_run(values.workdir, values.checkpoint)
        if not isinstance(trained, TrainedRun):
            raise UserError(
                f"{values.workdir} holds a classical baseline ('{trained.config.model.name}'), "
                "and only networks have features that are learned."
            )
        experiment, variables = trained.experiment, trained.variables
        dataset = None if positional else run_data(trained)
    if positional:
        info = experiment.info
        labels = np.zeros(len(positional), np.int32)
        source = FolderSource(positional, labels, info.eval_shape, info.dtype, info.geometry)
    elif values.split in dataset.splits:
        source = dataset.splits[values.split]
    else:
        raise UserError(
            f"--split='{values.split}': {dataset.info.name} has no such split."
            + did_you_mean(values.split, dataset.splits)
        )
    for line in describe(dataset) if configured else ():
        to_stderr(line)
    shapes = write_features(
        values.out, experiment, variables, source, maps=values.maps, paths=positional or None
    )
    if values.json:
        print(json.dumps({"out": values.out, "shapes": shapes}))
        return
    print(f"{values.out}:")
    for name, shape in shapes.items():
        print(f"  {name:<10} {'x'.join(map(str, shape))}")
