"""Write one HTML page about a run, or a comparison of several, that opens offline.

usage: python launch.py report RUN... [--out=report.html] [--pictures=4]

  python launch.py report runs/lenet
  python launch.py report runs --out=all.html       every run in a folder
  python launch.py report runs/seed* runs/mlp

Runs that differ only by seed form one configuration, shown with its spread. The page has results,
differences between configs, interactive curves, classes, examples with Grad-CAM, filters, costs,
the environment, and the command that reproduces each run. Incomplete runs are shown as far as they
go.
"""

from cnnlab.cli.flag_definer import FlagDefiner


def define_flags(define: FlagDefiner) -> None:
    """Defines the flags of this command."""
    define.string("out", "report.html", "The page to write.")
    define.integer(
        "pictures",
        4,
        "Of how many configurations, the best first, examples, filters and Grad-CAM "
        "are shown; their weights and data are read.",
        lower_bound=0,
    )
    define.json()
