"""Where a member of a trained population comes from: whom it copied, and its numbers since."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnnlab.train.whole_file import whole_file

_NAME = "lineage.jsonl"


class Lineage:
    """A file in the member's run folder: a row for its start and one for each copy.

    A row holds `step`, `parent` (a member's number; None at the start) and `numbers` by path.
    """

    def __init__(self, workdir: Path, before: int):
        """Opens the file of a run that goes on at step `before`; later rows are dropped."""
        self._path = workdir / _NAME
        self._write([row for row in read_lineage(workdir) if row["step"] < before])

    def add(self, step: int, parent: int | None, numbers: Mapping[str, float]) -> None:
        """Adds a row."""
        self._rows.append({"step": step, "parent": parent, "numbers": dict(numbers)})
        self._write(self._rows)

    def _write(self, rows: list[dict[str, Any]]) -> None:
        self._rows = rows
        with whole_file(self._path) as temporary:
            temporary.write_text("".join(json.dumps(row) + "\n" for row in rows))


def read_lineage(workdir: str | Path) -> list[dict[str, Any]]:
    """The rows of a member; none where the folder is not a member's."""
    path = Path(workdir) / _NAME
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def ancestry(
    lineages: Sequence[Sequence[Mapping[str, Any]]], member: int, end: int
) -> list[dict[str, Any]]:
    """Whom the weights that a member had at a step were trained by, and with which numbers.

    Args:
      lineages: rows of each member.
      member: whose weights.
      end: step that they were saved at, above 0.

    Returns:
      A row for each time that the numbers changed, in order: `step` from which on, `member` who
      trained them, and `numbers`. It is a schedule: a run that changes its numbers so gives the
      same network, but for the ancestors' seeds.
    """
    found: list[dict[str, Any]] = []
    while True:
        row = [row for row in lineages[member] if row["step"] < end][-1]
        found.append({"step": row["step"], "member": member, "numbers": row["numbers"]})
        if row["parent"] is None:
            return found[::-1]
        member, end = row["parent"], row["step"]
