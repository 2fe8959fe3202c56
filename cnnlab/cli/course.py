"""Draw the figures of the course, docs/course, and measure what its experiments show.

usage: python launch.py course [NAME...] [--out=course] [--redraw] [--json]

experiments; each trains small networks on the embedded digits, minutes on two cores, and writes
NAME.json with its numbers beside NAME.png:
  shifted_digit        a dense network loses a digit that is shifted; a convolutional one keeps it
  shift_table          shift consistency of every architecture of the course
  hand_made_features   HOG against learned features, from few labels to many
  depth                plain against residual networks as they get deeper
  norms                batch norm, layer norm and none over batch sizes
  augmentation_gain    with and without augmentation, scored on turned digits
  fine_tuning          fine-tuning against training from scratch
  checkerboard         transposed convolutions against resizing

pictures, seconds each: every other NAME, that of a file of docs/course/figures. Without a NAME, all
of them are drawn, experiments included; --redraw takes the numbers of experiments from --out.
"""

import json

from absl import flags

from cnnlab.cli.platform import enable_compilation_cache


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of this command."""
    flags.DEFINE_string("out", "course", "The folder to write to.", flag_values=values)
    flags.DEFINE_bool(
        "redraw",
        False,
        "Draw experiments from the numbers that --out holds, and train nothing.",
        flag_values=values,
    )
    flags.DEFINE_bool("json", False, "Print one JSON object, last.", flag_values=values)


def run(values: flags.FlagValues, overrides: dict[str, str], positional: list[str]) -> int:
    """Draws one after the other, and says what was written."""
    enable_compilation_cache()
    from cnnlab.course import EXPERIMENTS, FIGURES, build, check_names

    check_names(positional)
    pictures = []
    for name in positional or [*FIGURES, *EXPERIMENTS]:
        pictures += build(values.out, [name], measure=not values.redraw)
        if not values.json:
            print(pictures[-1], flush=True)
    if values.json:
        print(json.dumps({"pictures": [str(path) for path in pictures]}))
    return 0
