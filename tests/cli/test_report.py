"""`launch.py report`."""

import json

import pytest

from cnnlab.cli.main import main
from tests import trained_runs


def launch(*arguments):
    return main(["launch.py", "report", *map(str, arguments)])


def test_report(tmp_path, capsys):
    out = tmp_path / "page.html"
    runs = [trained_runs.lenet(), trained_runs.hog()]
    assert launch(*runs, f"--out={out}") == 0
    told = capsys.readouterr().out
    assert f"{out}: 2 runs" in told
    assert "Looking into" in told
    assert out.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert launch(trained_runs.lenet(), f"--out={out}", "--pictures=0", "--json") == 0
    last = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert last == {"out": str(out), "runs": [str(trained_runs.lenet())]}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "report needs the folder of at least one run"),
        (["nowhere"], "There is no folder 'nowhere'"),
        (["EMPTY"], "There is no run in"),
        (["EMPTY", "--out=nowhere/x.html"], "there is no folder 'nowhere'"),
        (["EMPTY", "--out=EMPTY"], "is a folder, and should be a file"),
    ],
)
def test_mistakes(arguments, sentence, tmp_path, capsys):
    filled = [argument.replace("EMPTY", str(tmp_path)) for argument in arguments]
    assert launch(*filled) == 1
    assert sentence in capsys.readouterr().err
