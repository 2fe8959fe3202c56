"""What the documents show is true: diffs are lines of the files they name, and code runs."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BLOCKS = {
    f"{page.relative_to(ROOT / 'docs')} {number}": block
    for page in sorted((ROOT / "docs").rglob("*.md"))
    for number, block in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.S))
}


@pytest.mark.parametrize("place", BLOCKS)
def test_python_block_runs(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(BLOCKS[place], place, "exec"), {"__name__": "document"})


def test_diffs_of_adding_a_model_are_true():
    page = (ROOT / "docs" / "adding_a_model.md").read_text()
    parts = re.findall(r"^\+\+\+ b/(\S+)\n((?:\+.*\n)+?)(?=---|```)", page, flags=re.M)
    assert len(parts) == 5
    for name, added in parts:
        lines = [line[1:] for line in added.splitlines()]
        present = (ROOT / name).read_text().splitlines()
        assert not [line for line in lines if line not in present], name
    new_file = dict(parts)["cnnlab/models/cifar_resnet.py"]
    whole = (ROOT / "cnnlab/models/cifar_resnet.py").read_text()
    assert "".join(line[1:] + "\n" for line in new_file.splitlines()) == whole
