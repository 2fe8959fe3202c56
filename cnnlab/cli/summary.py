"""Show the layers of a network: output shapes, parameters, multiply-accumulates.

usage: python launch.py summary [--config=EXPERIMENT] [--input_size=224] [--json]

  python launch.py summary --config.model.name=resnet50 --input_size=224 --channels=3 --classes=1000

Sizes that are not given are those of the config's data set.
"""

import json

from absl import flags
from rich.console import Console

from cnnlab.cli.arguments import refuse_positional
from cnnlab.cli.config_flags import define_config_flag, resolve_config


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of this command."""
    define_config_flag(values)
    for name, text in (
        ("input_size", "Height and width of the image in pixels."),
        ("channels", "Channels of the image."),
        ("classes", "Number of classes."),
    ):
        flags.DEFINE_integer(name, None, text, lower_bound=1, flag_values=values)
    flags.DEFINE_bool("json", False, "Print one JSON object, last.", flag_values=values)


def run(values: flags.FlagValues, overrides: dict[str, str], positional: list[str]) -> int:
    """Prints the table."""
    refuse_positional("summary", positional)
    config = resolve_config(values.config, overrides)
    from cnnlab.analysis import summarize, summary_table, total_macs
    from cnnlab.config import check_options
    from cnnlab.models import create_model, model_options
    from cnnlab.train.setup import load_data

    shape, classes = None, values.classes
    if None in (values.input_size, values.channels, values.classes):
        info = load_data(config).info
        shape, classes = info.image_shape, classes or info.num_classes
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
        return 0
    title = f"{config.model.name} on {'x'.join(map(str, image_shape))}, {classes} classes"
    Console().print(summary_table(layers, title))
    return 0
