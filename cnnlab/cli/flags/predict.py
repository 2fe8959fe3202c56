"""Classify image files with a trained run, or segment them.

usage: python launch.py predict --workdir=FOLDER IMAGE... [--top=5] [--table=FILE.csv] [--json]
       python launch.py predict --workdir=FOLDER IMAGE... --out=FOLDER [--tile=512] [--tta] [--json]

IMAGE is a file, a folder, whose images and those in its folders are taken, or a quoted pattern as
'scans/*.png'. Images are predicted evaluation.batch_size at a time. --table writes a line for each
of them, as CSV or, for a name that ends with .jsonl, as JSON.

Classification: images are converted to the channels and size of the run's data. With --json, the
last line of standard output is one JSON object: the most probable classes of each file.
Multilabel: every class whose probability is above --threshold.

Segmentation writes OUT/NAME.png, whose pixels are the classes of the image's pixels (indexed, with
a palette), and OUT/NAME_overlay.png for viewing. An image is predicted at the scale of training: as
it is, and in windows if it is large, where training did not resize its images; otherwise it is
resized alike, and a line says so. With --tile it is predicted in windows at its full size, which
may exceed memory. The share of pixels of each class is printed per file, with --json as one JSON
object.
"""

from cnnlab.cli.flag_definer import FlagDefiner


def define_flags(define: FlagDefiner) -> None:
    """Defines the flags of this command."""
    define.run()
    define.integer("top", 5, "Number of classes to name.", lower_bound=1)
    define.float(
        "threshold",
        0.5,
        "Multilabel: name classes with a larger probability.",
        lower_bound=0.0,
        upper_bound=1.0,
    )
    define.string("table", None, "File to write the predictions to, .csv or .jsonl.")
    define.string("out", None, "Segmentation: the folder to write into.")
    define.integer(
        "tile", None, "Segmentation: predict in windows of this side, in pixels.", lower_bound=1
    )
    define.integer(
        "overlap",
        None,
        "Overlap of windows in pixels; by default a quarter of their side.",
        lower_bound=0,
    )
    define.bool(
        "tta",
        False,
        "Segmentation: average over three scales, and over flips that the run was trained with.",
    )
    define.json()
