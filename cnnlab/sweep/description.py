"""The description of a study in its folder."""

import json
from pathlib import Path

from cnnlab.errors import UserError
from cnnlab.sweep.spec import Spec
from cnnlab.sweep.storage import without_password
from cnnlab.train.whole_file import whole_file

FILE = "study.json"


def write_description(folder: Path, spec: Spec, storage_url: str | None) -> None:
    """Writes what a study is and where its trials are, whole or not at all."""
    tree = spec.to_json() | {"storage": without_password(storage_url)}
    with whole_file(folder / FILE) as temporary:
        temporary.write_text(json.dumps(tree, indent=2) + "\n")


def read_description(folder: Path) -> tuple[Spec, str | None] | None:
    """What the study in a folder is, and where its trials are; None if there is no study."""
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        tree = json.loads(path.read_text())
        return Spec.from_json(tree), tree.get("storage")
    except (json.JSONDecodeError, UserError) as error:
        raise UserError(f"{path} is damaged: {error}") from error


def check_same(saved: Spec, asked: Spec, where: str) -> None:
    """Raises a `UserError` that shows in what the study asked for contradicts the saved one."""
    different = saved.differences(asked)
    if different:
        lines = "\n  ".join(different)
        raise UserError(
            f"{where} holds another study (saved -> asked):\n  {lines}\n"
            "Choose another --study, or leave these flags out to go on with that study."
        )
