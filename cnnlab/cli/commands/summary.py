"""Runs `launch.py summary`; its help and its flags are `cnnlab.cli.flags.summary`."""

import json

from absl import flags

from cnnlab.analysis import block_table, summarize, summary_table, total_macs
from cnnlab.cli.arguments import to_stderr
from cnnlab.cli.config_flags import resolve_config
from cnnlab.cli.terminal import console
from cnnlab.config import check_options, validate
from cnnlab.config.objects import check_objects
from cnnlab.models import create_model, model_options
from cnnlab.train.run_data import image_shape_and_classes


def run(values: flags.FlagValues, overrides: dict[str, str], positional: list[str]) -> None:
    """Prints the table of blocks or layers."""
    config = resolve_config(values.config, overrides)
    check_objects(config, model=None)
    validate(config)
    shape, classes, lines = None, values.classes, []
    if None in (values.input_size, values.channels, values.classes):
        shape, known = image_shape_and_classes(config, report=lines.append)
        classes = classes or known
    size, channels = values.input_size, values.channels
    height, width = (size, size) if size else shape[:2]
    image_shape = (height, width, channels or shape[2])
    check_options("model.options", config.model.options, model_options(config.model.name))
    model = create_model(
        config.model.name,
        num_classes=classes,
        dtype=config.model.dtype,
        **config.model.options,
    )
    layers = summarize(model, image_shape)
    for line in lines:
        to_stderr(line)
    if values.json:
        params = sum(layer.params for layer in layers)
        print(
            json.dumps(
                {
                    "model": config.model.name,
                    "input_shape": image_shape,
                    "num_parameters": params,
                    "macs": total_macs(layers),
                    "layers": [vars(layer) for layer in layers],
                }
            )
        )
        return
    title = f"{config.model.name} on {'x'.join(map(str, image_shape))}, {classes} classes"
    terminal = console()
    table = (
        block_table(model, image_shape, layers, title)
        if values.depth is None
        else summary_table(layers, title, depth=values.depth, memory=terminal.width >= 100)
    )
    terminal.print(table)
