"""Scores that others have published, from the file `published.json` beside the experiments."""

import dataclasses
from pathlib import Path

from cnnlab.errors import UserError
from cnnlab.storage.json_text import read_json


@dataclasses.dataclass(frozen=True)
class Published:
    """A published score on the test split.

    Attributes:
      score: the score as it was published, in percent where the metric is a share.
      source: who published it, and where.
      note: how its network or training differs from the experiment's; empty if it does not.
    """

    score: float
    source: str
    note: str = ""


def published_of(experiment: Path) -> list[Published]:
    """Returns the published scores of an experiment, none if there is no file or no entry.

    Args:
      experiment: path of the experiment's file. In `published.json` beside it, the name of the file
        without suffix maps to a list of objects with the fields of `Published`.

    Raises:
      UserError: `published.json` is damaged.
    """
    path = experiment.with_name("published.json")
    if not path.exists():
        return []
    entries = read_json(path).get(experiment.stem, [])
    try:
        return [Published(**entry) for entry in entries]
    except TypeError as error:
        raise UserError(
            f"{path}: each entry of '{experiment.stem}' must have score, source and perhaps note, "
            f"and does not: {error}."
        ) from error
