"""What the documents show is true: diffs are lines of the files they name, code runs and prints."""

import contextlib
import io
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
_BLOCK = re.compile(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", flags=re.S)
BLOCKS = {
    f"{page.relative_to(ROOT / 'docs')} {number}": block
    for page in sorted((ROOT / "docs").rglob("*.md"))
    for number, block in enumerate(_BLOCK.findall(page.read_text()))
}


# Seconds of training or compiling each; the pages' shorter blocks run by default.
LONG = {
    "extending.md 2", "extending.md 3", "library.md 0", "library.md 1", "library.md 2",
    "populations.md 0", "course/feature_maps.md 0",
    "course/fine_tuning.md 0", "course/pretrained.md 0", "course/resnet.md 0",
    "course/segmentation.md 0",
}  # fmt: skip


def test_long_blocks_are_there():
    assert set(BLOCKS) >= LONG


@pytest.mark.parametrize(
    "place", [pytest.param(b, marks=pytest.mark.slow) if b in LONG else b for b in BLOCKS]
)
def test_python_block_runs(place, tmp_path, monkeypatch, registered):
    monkeypatch.chdir(tmp_path)
    code, output = BLOCKS[place]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, place, "exec"), {"__name__": "document"})
    if output:
        assert printed.getvalue() == output


def test_diffs_of_adding_a_model_are_true():
    page = (ROOT / "docs" / "adding_a_model.md").read_text()
    parts = re.findall(r"^\+\+\+ b/(\S+)\n((?:\+.*\n)+?)(?=---|```)", page, flags=re.M)
    assert len(parts) == 5
    for name, added in parts:
        lines = [line[1:] for line in added.splitlines()]
        present = (ROOT / name).read_text().splitlines()
        assert not [line for line in lines if line not in present], name
    new_file = dict(parts)["cnnlab/models/classification/cifar_resnet.py"]
    whole = (ROOT / "cnnlab/models/classification/cifar_resnet.py").read_text()
    assert "".join(line[1:] + "\n" for line in new_file.splitlines()) == whole
