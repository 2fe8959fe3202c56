"""Write a trained network's weights for other libraries.

usage: python launch.py export --workdir=FOLDER --out=FILE.safetensors [--naming=torchvision]

  python launch.py export --workdir=runs/resnet18 --naming=timm --out=resnet18.safetensors

The file has the tensors of torchvision's or timm's network of that kind under its names, and loads
there with strict=True. Its metadata say which network that is, the classes, and what to normalise
images with.
"""

import json

from absl import flags

from cnnlab.cli.arguments import refuse_positional, require


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of this command."""
    flags.DEFINE_string("workdir", None, "Folder of the run.", flag_values=values)
    flags.DEFINE_string("out", None, "The file to write.", flag_values=values)
    flags.DEFINE_enum(
        "format", "safetensors", ["safetensors"], "Format of the file.", flag_values=values
    )
    flags.DEFINE_string(
        "naming", "torchvision", "Whose names: torchvision or timm.", flag_values=values
    )
    flags.DEFINE_string(
        "checkpoint", "best", "Which weights: best, latest or a step.", flag_values=values
    )


def run(values: flags.FlagValues, overrides: dict[str, str], positional: list[str]) -> int:
    """Writes the file, and says how to load it."""
    refuse_positional("export", positional)
    require("workdir", values.workdir)
    require("out", values.out)
    from cnnlab.pretrained import save
    from cnnlab.train import load_run

    trained = load_run(values.workdir, values.checkpoint)
    info = trained.info
    peer = save(
        values.out,
        trained.variables,
        trained.config.model.name,
        naming=values.naming,
        metadata={
            "mean": json.dumps(info.mean),
            "std": json.dumps(info.std),
            "class_names": json.dumps(info.class_names),
        },
        **trained.setup.model_options,
    )
    channels = info.image_shape[-1]
    if peer.library == "timm":
        make = f'timm.create_model("{peer.name}", num_classes={info.num_classes}'
        make += ")" if channels == 3 else f", in_chans={channels})"
    else:
        make = f'torchvision.models.get_model("{peer.name}", num_classes={info.num_classes})'
        if channels != 3:
            make += f"  # its first convolution replaced by one of {channels} channels"
    print(
        f"{values.out}: weights of step {trained.step}, under the names of {peer}. There:\n"
        f"  model = {make}\n"
        f'  model.load_state_dict(safetensors.torch.load_file("{values.out}"), strict=True)'
    )
    return 0
