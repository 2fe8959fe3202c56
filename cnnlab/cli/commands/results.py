"""Runs `launch.py results`; its help and its flags are `cnnlab.cli.flags.results`."""

import json

from absl import flags

from cnnlab.cli.arguments import to_stderr
from cnnlab.errors import UserError
from cnnlab.report.results import markdown_tables, merge_rows, read_rows, result_rows, write_rows
from cnnlab.storage.output_file import check_output


def run(values: flags.FlagValues, overrides: dict[str, str], positional: list[str]) -> None:
    """Prints the tables, and keeps their rows."""
    if not positional:
        raise UserError("results needs the folder of at least one run, or a JSON file of rows.")
    if values.out is not None:
        check_output(values.out)
    rows = []
    folders = [path for path in positional if not path.endswith(".json")]
    for path in positional:
        if path not in folders:
            rows += read_rows(path)
    if folders:
        rows += result_rows(folders, report=to_stderr)
    rows = merge_rows(rows, report=to_stderr)
    if values.out is not None:
        write_rows(rows, values.out)
    if values.json:
        print(json.dumps([row.to_json() for row in rows]))
    else:
        print(markdown_tables(rows), end="")
