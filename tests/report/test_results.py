"""Rows of results: from runs of several seeds, kept as JSON, as Markdown, in docs/results.md."""

import dataclasses
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from cnnlab.cli.main import main
from cnnlab.config import experiment_names
from cnnlab.errors import UserError
from cnnlab.report.results import (
    markdown_tables,
    merge_rows,
    read_rows,
    result_rows,
    write_rows,
)
from cnnlab.report.results.published import Published, published_of
from tests import trained_runs

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "results.md").read_text()
KEPT = sorted((ROOT / "docs" / "results").glob("*.json"))


@pytest.fixture
def runs():
    return [trained_runs.lenet(1), trained_runs.lenet(0)]


def accuracies(paths):
    return [json.loads((path / "result.json").read_text())["test"]["accuracy"] for path in paths]


def test_seeds_of_one_config_are_one_row(runs):
    (row,) = result_rows(runs)
    expected = accuracies(runs[::-1])
    assert row.seeds == [0, 1]
    assert row.test["accuracy"] == expected
    mean, sd = row.score()
    assert mean == pytest.approx(np.mean(expected))
    assert sd == pytest.approx(abs(expected[0] - expected[1]) / np.sqrt(2))
    assert (row.data, row.metric, row.device) == ("digits", "accuracy", "cpu")
    assert row.epochs == pytest.approx(60 * 64 / 1294, abs=0.01)
    assert row.parameters == json.loads((runs[0] / "result.json").read_text())["num_parameters"]
    assert row.command.startswith("train --config=")
    assert "seed" not in row.command


def test_runs_that_do_not_count_are_told(runs, tmp_path):
    unfinished = shutil.copytree(runs[0], tmp_path / "unfinished")
    (unfinished / "result.json").unlink()
    again = shutil.copytree(runs[1], tmp_path / "again")
    told = []
    (row,) = result_rows([unfinished, runs[1], again], report=told.append)
    assert row.seeds == [0]
    assert row.score() == (accuracies(runs[1:])[0], None)
    assert [text.split(": ")[0] for text in told] == ["unfinished is left out", "again is left out"]
    with pytest.raises(UserError, match="No run is complete"):
        result_rows([unfinished], report=told.append)


def test_a_baseline_has_no_epochs():
    (row,) = result_rows([trained_runs.hog()])
    assert row.epochs is None
    assert row.parameters > 0


def test_rows_are_kept(runs, tmp_path):
    rows = result_rows([*runs, trained_runs.unet()])
    write_rows(rows, tmp_path / "rows.json")
    assert read_rows(tmp_path / "rows.json") == rows
    (tmp_path / "rows.json").write_text('[{"title": "x"}]')
    with pytest.raises(UserError, match="must hold rows"):
        read_rows(tmp_path / "rows.json")


def test_seeds_join_the_row_that_was_kept(runs):
    (both,) = result_rows(runs)
    (later,), (first,) = (result_rows([run]) for run in runs)
    told = []
    assert merge_rows([later, first], report=told.append) == [both]
    assert merge_rows([first, both], report=told.append) == [both]
    assert told == [f"Seed 0 of '{both.command}' is left out: an earlier row has it."]
    other = dataclasses.replace(later, epochs=99.0)
    assert merge_rows([first, other]) == [first, other]


def test_markdown(runs):
    rows = result_rows([*runs, trained_runs.unet()])
    published = [Published(99.0, "Somebody 2001", "twice as wide"), Published(98.5, "a|b")]
    rows[0] = dataclasses.replace(
        rows[0], title="LeNet", network="lenet_relu", macs=416_520, seconds=[2.0, 3.0], epochs=3.0,
        test={"accuracy": [0.97, 0.99]}, parameters=12345, command="train --config=x",
        published=published,
    )  # fmt: skip
    first, second = markdown_tables(rows).split("\n\n`")
    assert first.startswith("`digits`: accuracy on the test split, in percent")
    assert first.splitlines()[-1] == (
        "| LeNet | `lenet_relu` | 98.00 ± 1.41 | 2 | 3 | 12,345 | 417 k | 2.5 | cpu | "
        r"99 (twice as wide; Somebody 2001); 98.5 (a\|b) | `train --config=x` |"
    )
    assert second.startswith("digit_scenes`: mean IoU")
    assert "±" not in second.splitlines()[-1]


def test_published(tmp_path):
    experiment = tmp_path / "mine.py"
    assert published_of(experiment) == []
    table = tmp_path / "published.json"
    table.write_text('{"mine": [{"score": 99.0, "source": "Somebody 2001"}]}')
    assert published_of(experiment) == [Published(99.0, "Somebody 2001")]
    table.write_text('{"mine": [{"score": 99.0}]}')
    with pytest.raises(UserError, match=r"published\.json: each entry of 'mine' must have score"):
        published_of(experiment)


def test_published_scores_belong_to_experiments():
    names = experiment_names()
    for name in json.loads((ROOT / "experiments" / "published.json").read_text()):
        assert published_of(names[name])


def test_command(runs, tmp_path, capsys):
    out = tmp_path / "rows.json"
    assert main(["launch.py", "results", *map(str, runs), f"--out={out}"]) == 0
    printed = capsys.readouterr().out
    assert printed == markdown_tables(result_rows(runs))
    assert main(["launch.py", "results", str(out)]) == 0
    assert capsys.readouterr().out == printed
    assert main(["launch.py", "results", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(out.read_text())
    assert main(["launch.py", "results"]) == 1
    assert "results needs the folder" in capsys.readouterr().err


def test_the_page_has_the_tables_of_the_kept_rows():
    named = re.findall(r"^<!-- rows: (\S+) -->$", PAGE, flags=re.M)
    assert sorted(named) == [path.name for path in KEPT]
    for path in KEPT:
        assert f"<!-- rows: {path.name} -->\n{markdown_tables(read_rows(path))}<!-- end -->" in PAGE


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_kept_rows_are_consistent(path):
    """Mean and deviation are those of the seeds; experiment and published scores are of today."""
    entries = json.loads(path.read_text())
    for row, entry in zip(read_rows(path), entries, strict=True):
        assert row.to_json() == entry
        name = row.command.split()[1].removeprefix("--config=")
        assert row.published == published_of(experiment_names()[name])
        assert all(len(values) == len(row.seeds) for values in row.test.values())
        assert len(row.seconds) == len(row.seeds)
