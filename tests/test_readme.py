"""The README's code runs, and its commands exist."""

import re
from pathlib import Path

import pytest

from cnnlab.cli.main import COMMANDS
from cnnlab.config import experiment_names

README = (Path(__file__).parents[1] / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.S)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_python_block_runs(number, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(BLOCKS[number], f"README block {number}", "exec"), {"__name__": "readme"})


def test_there_are_examples():
    assert len(BLOCKS) >= 4


def test_commands_exist():
    commands = re.findall(r"launch\.py (\w+)", README)
    assert set(COMMANDS) <= set(commands)
    assert set(commands) <= set(COMMANDS)
    for line in re.findall(r"--config=([\w/.]+)", README):
        name = Path(line).stem
        assert name in experiment_names(), name
