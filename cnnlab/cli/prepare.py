"""Download and prepare a TFDS data set, or lay out one from archives that you have.

usage: python launch.py prepare --dataset=NAME [--data_dir=FOLDER] [--manual_dir=FOLDER]

  python launch.py prepare --dataset=fashion_mnist

On a machine without network, put the archives that the data set's publisher offers into a folder
and name it with --manual_dir. Some data sets need TensorFlow for this step, and for this step only:
pip install 'cnnlab[prepare]'.
"""

from absl import flags

from cnnlab.cli.arguments import refuse_positional, require


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of this command."""
    flags.DEFINE_string("dataset", None, "Name as in TFDS's catalogue.", flag_values=values)
    flags.DEFINE_string(
        "data_dir", None, "Where to put it; ~/tensorflow_datasets where unset.", flag_values=values
    )
    flags.DEFINE_string(
        "manual_dir", None, "Where archives lie that need no download.", flag_values=values
    )


def run(values: flags.FlagValues, overrides: dict[str, str], positional: list[str]) -> int:
    """Prepares the data set."""
    refuse_positional("prepare", positional)
    require("dataset", values.dataset)
    from cnnlab.data import prepare

    folder = prepare(values.dataset, data_dir=values.data_dir, manual_dir=values.manual_dir)
    print(
        f"{values.dataset} is ready in {folder}. Train on it with:\n"
        f"  python launch.py train --config.data.name={values.dataset} --workdir=runs/"
        f"{values.dataset}"
    )
    return 0
