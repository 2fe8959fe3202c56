"""List components by name: models, datasets, experiments, optimizers, losses, metrics and more.

usage: python launch.py list KIND [PATTERN] [--json] [--plugins=FILE]

kinds: models, datasets, experiments, optimizers, losses, metrics, schedules, augmentations and
callbacks; with --plugins, including those of that file.

  python launch.py list models 'resnet*'   # by family, with size and cost
  python launch.py list metrics --plugins=my_experiment.py
"""

from cnnlab.cli.flag_definer import FlagDefiner


def define_flags(define: FlagDefiner) -> None:
    """Defines the flags of `list`."""
    define.bool("json", False, "Print a list of objects as JSON.")
