"""The lineage of a population's member: which members it copied, and its numbers since."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnnlab.errors import UserError
from cnnlab.storage import checksums
from cnnlab.storage.json_text import parse_json, read_bytes

_NAME = "lineage.jsonl"


class Lineage:
    """A file in the member's run folder: a row for its start and one for each copy.

    A row holds `step`, `parent` (a member's number; None at the start) and `numbers` by path.
    """

    def __init__(self, workdir: Path, before: int):
        """Opens the file of a run that resumes at step `before`; later rows are dropped.

        Raises:
          UserError: the file is damaged, or is missing although the run has begun.
        """
        self._path = workdir / _NAME
        rows = [row for row in read_lineage(workdir) if row["step"] < before]
        if before and not rows:
            raise UserError(
                f"{self._path} is missing: without it the population cannot be resumed. Restore "
                "the file, or choose another folder."
            )
        self._write(rows)

    def add(self, step: int, parent: int | None, numbers: Mapping[str, float]) -> None:
        """Adds a row."""
        self._rows.append({"step": step, "parent": parent, "numbers": dict(numbers)})
        self._write(self._rows)

    def _write(self, rows: list[dict[str, Any]]) -> None:
        self._rows = rows
        checksums.write(self._path, "".join(json.dumps(row) + "\n" for row in rows).encode())


def read_lineage(workdir: str | Path) -> list[dict[str, Any]]:
    """Returns the rows of a member; none if the folder is not a member's.

    Raises:
      UserError: the file is damaged, was edited, or has been removed.
    """
    path = Path(workdir) / _NAME
    if not path.exists() and not checksums.is_recorded(path):
        return []
    data = read_bytes(path)
    rows = [
        _row(parse_json(line, f"{path}, line {number}"), f"{path}, line {number}")
        for number, line in enumerate(data.splitlines(), start=1)
    ]
    checksums.checked(path, data)
    return rows


def _row(row: dict[str, Any], name: str) -> dict[str, Any]:
    """The row, if it is one of a lineage; raises a `UserError` otherwise."""
    step, parent, numbers = (row.get(key) for key in ("step", "parent", "numbers"))
    if (
        type(step) is not int
        or not (parent is None or type(parent) is int)
        or not isinstance(numbers, dict)
        or not all(type(value) in (int, float) for value in numbers.values())
    ):
        raise UserError(f"{name} is damaged: it is no row with step, parent and numbers.")
    return row


def ancestry(
    lineages: Sequence[Sequence[Mapping[str, Any]]], member: int, end: int
) -> list[dict[str, Any]]:
    """Returns which members trained a member's weights, and with which numbers.

    Args:
      lineages: rows of each member.
      member: index of the member.
      end: step at which its weights were saved, above 0.

    Returns:
      A row for each change of the numbers, in order: first `step`, `member` that trained the
      weights, and `numbers`. It is a schedule: a run that changes its numbers in this way gives the
      same network, except for the ancestors' seeds.
    """
    found: list[dict[str, Any]] = []
    while True:
        row = [row for row in lineages[member] if row["step"] < end][-1]
        found.append({"step": row["step"], "member": member, "numbers": row["numbers"]})
        if row["parent"] is None:
            return found[::-1]
        member, end = row["parent"], row["step"]
