"""Print tables of finished runs as Markdown, one row per experiment.

usage: python launch.py results RUN... [--out=rows.json] [--json]

  python launch.py results runs                     every run in a folder
  python launch.py results runs/mnist_* --out=docs/results/mnist.json
  python launch.py results docs/results/mnist.json  the table of rows that were kept
  python launch.py results docs/results/mnist.json runs/mnist_5   with one seed more

Runs that differ only by seed form one row: the network, mean and standard deviation of the test
score over seeds, epochs, parameters, multiply-accumulates for one image, seconds of training,
device, the command, and scores that others have published, from the file published.json beside the
experiments. Runs that are not complete are left out. The order is that of the arguments: the test
split ranks nothing.
"""

from cnnlab.cli.flag_definer import FlagDefiner


def define_flags(define: FlagDefiner) -> None:
    """Defines the flags of this command."""
    define.string("out", None, "JSON file to keep the rows in, with the score of each seed.")
    define.bool("json", False, "Print the rows as a JSON array instead of Markdown.")
