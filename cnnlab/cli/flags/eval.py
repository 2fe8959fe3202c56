"""Evaluate a trained run on one of its splits, or on another data set.

usage: python launch.py eval --workdir=FOLDER [--split=test] [--checkpoint=best] [--json]
       python launch.py eval --workdir=FOLDER --data=folder:PATH [--split=SPLIT] [--json]

Every example of the split counts exactly once. With --json, the last line of standard output is
one JSON object: accuracy, top5, loss, mean_class_accuracy, per_class_accuracy, num_examples; for
segmentation miou, mean_dice, accuracy, mean_class_accuracy, boundary_f1, loss, per_class; for
multilabel f1, subset_accuracy, label_accuracy, loss, per_class. Metrics that the run's config names
in evaluation.metrics are added, with their values per class.

--data scores the run on another data set: its test split, or all of a folder without splits. Its
classes are those of the run by their names, or some of them.
"""

from cnnlab.cli.flag_definer import FlagDefiner


def define_flags(define: FlagDefiner) -> None:
    """Defines the flags of this command."""
    define.run()
    define.split()
    define.string("data", None, "Another data set to score the run on, e.g. folder:PATH.")
    define.json()
