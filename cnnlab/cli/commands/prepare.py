"""Runs `launch.py prepare`; its help and its flags are `cnnlab.cli.flags.prepare`."""

from absl import flags

from cnnlab.cli.arguments import require
from cnnlab.data import prepare
from cnnlab.program import program


def run(values: flags.FlagValues, overrides: dict[str, str], positional: list[str]) -> None:
    """Prepares the data set."""
    require("dataset", values.dataset)

    folder = prepare(values.dataset, data_dir=values.data_dir, manual_dir=values.manual_dir)
    print(
        f"{values.dataset} is ready in {folder}. Train on it with:\n"
        f"  {program()} train --config.data.name={values.dataset} --workdir=runs/"
        f"{values.dataset}"
    )
