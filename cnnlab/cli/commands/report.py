"""Runs `launch.py report`; its help and its flags are `cnnlab.cli.flags.report`."""

import json

from absl import flags

from cnnlab.cli.jax_setup import enable_compilation_cache
from cnnlab.cli.runs import load_run
from cnnlab.errors import UserError
from cnnlab.report.run_page.page import make_report
from cnnlab.report.run_page.run_record import find_runs
from cnnlab.storage.output_file import check_output, output_file


def run(values: flags.FlagValues, overrides: dict[str, str], positional: list[str]) -> None:
    """Writes the page and prints its path."""
    if not positional:
        raise UserError("report needs the folder of at least one run.")
    out = check_output(values.out)
    enable_compilation_cache()
    runs = find_runs(positional)
    page = make_report(
        runs,
        pictures=values.pictures,
        load=load_run,
        report=(lambda text: None) if values.json else print,
    )
    with output_file(out) as temporary:
        # Names that are no UTF-8 are shown by their bytes.
        temporary.write_text(page, encoding="utf-8", errors="backslashreplace")
        size = temporary.stat().st_size / 2**20
    if values.json:
        print(json.dumps({"out": str(out), "runs": [str(path) for path in runs]}))
        return
    print(f"{out}: {len(runs)} run{'s' if len(runs) > 1 else ''}, {size:.1f} MiB, in one file.")
