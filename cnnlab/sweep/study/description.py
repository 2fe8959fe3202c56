"""The description of a study in its folder."""

import dataclasses
import json
import zlib
from pathlib import Path
from typing import Any

from cnnlab.errors import UserError
from cnnlab.storage.atomic_write import atomic_write
from cnnlab.storage.json_text import read_json
from cnnlab.storage.object_store import refuse_url
from cnnlab.sweep.study.spec import Spec
from cnnlab.sweep.study.storage import without_password

FILE = "study.json"


def write_description(folder: Path, name: str, spec: Spec, storage_url: str | None) -> None:
    """Writes the description of a study and the place of its trials atomically."""
    tree = {"name": name} | spec.to_json() | {"storage": without_password(storage_url)}
    tree["sum"] = _sum(tree)
    with atomic_write(folder / FILE) as temporary:
        temporary.write_text(json.dumps(tree, indent=2) + "\n")


@dataclasses.dataclass(frozen=True)
class Description:
    """Description of a study in its folder.

    Attributes:
      name: name of the study, which is kept if its folder is renamed.
      spec: specification of the study.
      storage_url: URL of the database with its trials, without a password; None for the journal.
    """

    name: str
    spec: Spec
    storage_url: str | None


def read_description(folder: Path) -> Description | None:
    """Reads the description of the study in a folder; returns None if there is none.

    Raises:
      UserError: study.json is damaged, or the folder is in an object store.
    """
    refuse_url(
        folder,
        "choose a local folder for the study, and storage=postgresql://... for many machines",
    )
    path = folder / FILE
    if not path.is_file():
        return None
    tree = read_json(path)
    try:
        if tree.pop("sum") != _sum(tree):
            raise UserError("it is not what was written; restore it from a copy.")
        return Description(tree["name"], Spec.from_json(tree), tree["storage"])
    except (
        ValueError, TypeError, KeyError, AttributeError, RecursionError, UserError
    ) as error:  # fmt: skip
        raise UserError(f"{path} is damaged: {error}") from error


def _sum(tree: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(tree).encode())
