"""Write one HTML page about a run, or a comparison of many, that opens without a network.

usage: python launch.py report RUN... [--out=report.html] [--pictures=4]

  python launch.py report runs/lenet
  python launch.py report runs --out=all.html       every run in a folder
  python launch.py report runs/seed* runs/mlp

Runs that differ by their seeds alone are one configuration, with its spread. The page has the
results, what differs between the configs, curves to zoom in and read off, classes, examples with
Grad-CAM, filters, costs, the environment and the command that trains each run again. Runs that are
not complete, or lack some files, are shown as far as they go.
"""

import json
from pathlib import Path

from absl import flags

from cnnlab.cli.platform import enable_compilation_cache
from cnnlab.errors import UserError


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of this command."""
    flags.DEFINE_string("out", "report.html", "The page to write.", flag_values=values)
    flags.DEFINE_integer(
        "pictures", 4, "Of how many configurations, the best first, examples, filters and Grad-CAM "
        "are shown; their weights and data are read.", lower_bound=0, flag_values=values,
    )  # fmt: skip
    flags.DEFINE_bool("json", False, "Print one JSON object, last.", flag_values=values)


def run(values: flags.FlagValues, overrides: dict[str, str], positional: list[str]) -> int:
    """Writes the page, and says where."""
    if not positional:
        raise UserError("report needs the folder of at least one run.")
    out = Path(values.out)
    if not out.parent.is_dir():
        raise UserError(f"--out={out}: there is no folder '{out.parent}'.")
    if out.is_dir():
        raise UserError(f"--out={out} is a folder, and should be a file.")
    enable_compilation_cache()
    from cnnlab.cli.runs import load_run
    from cnnlab.report.page import make_report
    from cnnlab.report.run_record import find_runs

    runs = find_runs(positional)
    page = make_report(
        runs,
        pictures=values.pictures,
        load=load_run,
        report=(lambda text: None) if values.json else print,
    )
    out.write_text(page, encoding="utf-8")
    if values.json:
        print(json.dumps({"out": str(out), "runs": [str(path) for path in runs]}))
        return 0
    size = len(page.encode()) / 2**20
    print(f"{out}: {len(runs)} run{'s' if len(runs) > 1 else ''}, {size:.1f} MiB, in one file.")
    return 0
