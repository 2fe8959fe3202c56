"""Runs `launch.py export`; its help and its flags are `cnnlab.cli.flags.export`."""

import json
import textwrap
from pathlib import PurePosixPath
from typing import Any

from absl import flags

from cnnlab.cli.arguments import require
from cnnlab.inference import load_run
from cnnlab.inference.export import export_stablehlo, write_onnx
from cnnlab.pretrained import save
from cnnlab.storage.object_store import is_url
from cnnlab.storage.output_file import check_output, output_file
from cnnlab.train.pretrained_images import header_of


def run(values: flags.FlagValues, overrides: dict[str, str], positional: list[str]) -> None:
    """Writes the file and prints how to load it."""
    require("workdir", values.workdir)
    require("out", values.out)
    check_output(values.out)
    trained = load_run(values.workdir, values.checkpoint)
    write = {"safetensors": _safetensors, "stablehlo": _stablehlo, "onnx": _onnx}
    write[values.format](values, trained)


def _file(out: str) -> str:
    """Path of the file in the lines that load it; of one in a store, once it is downloaded."""
    return PurePosixPath(out).name if is_url(out) else out


def _stablehlo(values: flags.FlagValues, trained: Any) -> None:
    program = export_stablehlo(trained, batch_size=values.batch_size)
    with output_file(values.out) as temporary:
        temporary.write_bytes(program.serialize())
    print(
        f"{values.out}: weights of step {trained.step}, "
        f"for {', '.join(program.platforms)}. In JAX:\n"
        f'  program = jax.export.deserialize(bytearray(open("{_file(values.out)}", "rb").read()))\n'
        f"  probabilities = program.call(images)  # {program.in_avals[0].str_short()}"
    )


def _onnx(values: flags.FlagValues, trained: Any) -> None:
    difference = write_onnx(trained, values.out, batch_size=values.batch_size)
    print(
        f"{values.out}: weights of step {trained.step}; run by ONNX Runtime, its probabilities "
        f"differ from the network's by at most {difference:.1e}."
    )


def _safetensors(values: flags.FlagValues, trained: Any) -> None:
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
            **header_of(info),
        },
        **trained.experiment.model_options,
    )
    print(
        f"{values.out}: weights of step {trained.step}, under the names of {saved.peer}. There:\n"
        f"  model = {saved.call(info.image_shape[-1])}\n"
        + textwrap.indent(saved.loading(_file(values.out)), "  ")
    )
