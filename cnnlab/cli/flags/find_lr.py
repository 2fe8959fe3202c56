"""Search a learning rate: raise it over short runs, and find where the loss falls fastest.

usage: python launch.py find_lr [--config=EXPERIMENT] [--out=find_lr.png] [--steps=100]
       [--sweeps=3] [--json]

The loss is averaged over sweeps of several seeds, up to its first rise. A short run at the
suggestion verifies that it learns. The picture shows the loss over the learning rate; nothing else
is written.
"""

from cnnlab.cli.flag_definer import FlagDefiner


def define_flags(define: FlagDefiner) -> None:
    """Defines the flags of this command."""
    define.config()
    define.string("out", "find_lr.png", "The picture to write.")
    define.integer("steps", 100, "Number of updates of a sweep.")
    define.integer("sweeps", 3, "Number of sweeps, one a seed.")
    define.float("lowest", 1e-5, "First learning rate.")
    define.float("highest", 10.0, "Last learning rate.")
    define.json()
