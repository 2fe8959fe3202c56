"""Write a trained network for other libraries: its weights, or a program that holds them.

usage: python launch.py export --workdir=FOLDER --out=FILE [--format=safetensors]

  python launch.py export --workdir=runs/resnet18 --naming=timm --out=resnet18.safetensors
  python launch.py export --workdir=runs/lenet --format=stablehlo --out=lenet.stablehlo
  python launch.py export --workdir=runs/lenet --format=onnx --out=lenet.onnx

safetensors: the tensors of torchvision's, timm's or segmentation_models_pytorch's (--naming=smp)
network of that kind under its names; it loads there with strict=True. Its metadata say which
network that is, the classes, and what to normalise images with.
stablehlo: a program for jax.export.deserialize, on CPU, GPU and TPU. onnx: the same for ONNX
runtimes, compared with the network once it is written (pip install 'cnnlab[onnx]'). Both map uint8
images of the run's size to probabilities.
"""

import json
from pathlib import Path
from typing import Any

from absl import flags

from cnnlab.cli.arguments import refuse_positional, require


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of this command."""
    flags.DEFINE_string("workdir", None, "Folder of the run.", flag_values=values)
    flags.DEFINE_string("out", None, "The file to write.", flag_values=values)
    flags.DEFINE_enum(
        "format",
        "safetensors",
        ["safetensors", "stablehlo", "onnx"],
        "Format of the file.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "naming", "torchvision", "Whose names: torchvision, timm or smp.", flag_values=values
    )
    flags.DEFINE_integer(
        "batch_size",
        None,
        "Of every call of a program; unset leaves it open.",
        lower_bound=1,
        flag_values=values,
    )
    flags.DEFINE_string(
        "checkpoint", "best", "Which weights: best, latest or a step.", flag_values=values
    )


def run(values: flags.FlagValues, overrides: dict[str, str], positional: list[str]) -> int:
    """Writes the file, and says how to load it."""
    refuse_positional("export", positional)
    require("workdir", values.workdir)
    require("out", values.out)
    from cnnlab.train import load_run

    trained = load_run(values.workdir, values.checkpoint)
    write = {"safetensors": _safetensors, "stablehlo": _stablehlo, "onnx": _onnx}
    write[values.format](values, trained)
    return 0


def _stablehlo(values: flags.FlagValues, trained: Any) -> None:
    from cnnlab.train.standalone import export_stablehlo

    program = export_stablehlo(trained, batch_size=values.batch_size)
    Path(values.out).write_bytes(program.serialize())
    print(
        f"{values.out}: weights of step {trained.step}, "
        f"for {', '.join(program.platforms)}. In JAX:\n"
        f'  program = jax.export.deserialize(bytearray(open("{values.out}", "rb").read()))\n'
        f"  probabilities = program.call(images)  # {program.in_avals[0].str_short()}"
    )


def _onnx(values: flags.FlagValues, trained: Any) -> None:
    from cnnlab.train.standalone import write_onnx

    difference = write_onnx(trained, values.out, batch_size=values.batch_size)
    print(
        f"{values.out}: weights of step {trained.step}; run by ONNX Runtime, its probabilities "
        f"differ from the network's by at most {difference:.1e}."
    )


def _safetensors(values: flags.FlagValues, trained: Any) -> None:
    from cnnlab.pretrained import save

    info = trained.info
    saved = save(
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
    print(
        f"{values.out}: weights of step {trained.step}, under the names of {saved.peer}. There:\n"
        f"  model = {saved.call(info.image_shape[-1])}\n"
        f'  model.load_state_dict(safetensors.torch.load_file("{values.out}"), strict=True)'
    )
