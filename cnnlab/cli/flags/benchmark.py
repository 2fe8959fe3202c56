"""Measure a training run: images per second, time per part, compilation, memory, utilisation.

usage: python launch.py benchmark [--config=EXPERIMENT] [--profile=FOLDER] [--json]

  python launch.py benchmark --config=resnet18_cifar10 --config.batch_size=64
  python launch.py benchmark --config=lenet_digits --profile=/tmp/trace

Only the trace is saved; TensorBoard's profiler and ui.perfetto.dev open it.
"""

from cnnlab.cli.flag_definer import FlagDefiner


def define_flags(define: FlagDefiner) -> None:
    """Defines the flags of this command."""
    define.config()
    define.string("profile", None, "Write a trace to this folder.")
    define.json()
