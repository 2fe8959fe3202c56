"""The README's code runs, and its commands exist."""

import re
from pathlib import Path

import pytest

from cnnlab.cli.main import COMMANDS
from cnnlab.config import apply_overrides, experiment_names, flat_fields, load_experiment

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.S)


LONG = re.compile("resnet18|mobilenet")  # networks that compile for long


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(number, marks=pytest.mark.slow) if LONG.search(block) else number
        for number, block in enumerate(BLOCKS)
    ],
)
def test_python_block_runs(number, tmp_path, monkeypatch, registered):
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


def test_overrides_change_the_experiment():
    commands = re.findall(r"launch\.py .*--config=(\w+) (.*)", README.replace("\\\n", ""))
    overrides = [
        (name, *override.split("=", 1))
        for name, flags in commands
        for override in re.findall(r"--config\.(\S+=\S+)", flags)
    ]
    assert len(overrides) >= 3
    for name, path, value in overrides:
        experiment = load_experiment(name)
        changed = apply_overrides(experiment, {path: value})
        assert flat_fields(changed) != flat_fields(experiment), (name, path)


def test_files_exist():
    """Pictures, linked documents, and the image that commands read."""
    named = re.findall(r"\]\(([^)#]+)\)", README) + re.findall(r"docs/\w+\.png", README)
    assert "docs/digit.png" in named
    for name in named:
        assert (ROOT / name).exists(), name
