"""Metric rows: what a resumed run keeps, and what a killed run leaves."""

import json

import pytest

from cnnlab.train.callbacks.json_lines import MetricsFile, finite, read_rows


def row(step):
    return {"step": step, "epoch": step / 10, "split": "train", "loss": 1.0 / step}


def test_resumed_run_drops_later_rows(tmp_path):
    metrics = tmp_path / "metrics.jsonl"
    first = MetricsFile(metrics)
    for step in (5, 10, 15):
        first.write(row(step))
    first.close()
    again = MetricsFile(metrics, after_step=10)
    again.write(row(12))
    again.close()
    assert [r["step"] for r in read_rows(metrics)] == [5, 10, 12]


def test_row_that_is_there_already(tmp_path):
    records = MetricsFile(tmp_path / "metrics.jsonl")
    records.write(row(1))
    records.close()
    again = MetricsFile(tmp_path / "metrics.jsonl", after_step=1)
    again.write(row(1))
    again.close()
    assert read_rows(tmp_path / "metrics.jsonl") == [row(1)]


def test_rows_are_there_before_close(tmp_path):
    records = MetricsFile(tmp_path / "metrics.jsonl")
    records.write(row(1))
    assert read_rows(tmp_path / "metrics.jsonl") == [row(1)]
    records.close()


def test_line_that_a_kill_left_unfinished(tmp_path):
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_text(json.dumps(row(1)) + "\n" + json.dumps(row(2))[:9])
    assert read_rows(metrics) == [row(1)]


DAMAGE = {
    "garbage": b"\x00\xff",
    "null": b"null",
    "number": b"1",
    "empty object": b"{}",
    "no step": b'{"epoch": 0.1, "split": "train"}',
    "text for a number": b'{"step": 2, "epoch": 0.1, "split": "train", "loss": "low"}',
    "too deep": b"[" * 100_000,
    "blank": b"",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_line_costs_no_other_row(tmp_path, damage):
    metrics = tmp_path / "metrics.jsonl"
    file = MetricsFile(metrics)
    for step in (1, 2, 3, 4):
        file.write(row(step))
    file.protect()
    file.close()
    lines = metrics.read_bytes().splitlines()
    damaged = b"\n".join([lines[0], DAMAGE[damage], *lines[2:]]) + b"\n"
    metrics.write_bytes(damaged)
    told = []
    assert [r["step"] for r in read_rows(metrics, report=told.append)] == [1, 3, 4]
    assert told == [f"{metrics} is damaged: line 2 of 4 cannot be read."]
    told.clear()
    again = MetricsFile(metrics, after_step=4, report=told.append)
    again.write(row(5))
    again.close()
    assert [r["step"] for r in read_rows(metrics, report=pytest.fail)] == [1, 3, 4, 5]
    assert "line 2 of 4 cannot be read" in told[0]
    assert (tmp_path / "metrics.damaged.jsonl").read_bytes() == damaged
    assert "metrics.damaged.jsonl" in told[1]


def test_an_edited_row_is_noticed_and_kept(tmp_path):
    metrics = tmp_path / "metrics.jsonl"
    file = MetricsFile(metrics)
    for step in (1, 2):
        file.write(row(step))
    file.protect()
    file.write(row(3))
    file.close()
    assert len(read_rows(metrics, report=pytest.fail)) == 3
    metrics.write_text(metrics.read_text().replace("0.5", "0.1"))
    told = []
    assert [r["loss"] for r in read_rows(metrics, report=told.append)] == [1.0, 0.1, 1 / 3]
    assert "metrics.jsonl is damaged or was edited" in told[0]
    for rows, loss in (([], None), ([row(1)], 1.0)):
        metrics.write_text("".join(json.dumps(r) + "\n" for r in rows))
        told.clear()
        assert [r["loss"] for r in read_rows(metrics, report=told.append)] == [loss][: len(rows)]
        assert "metrics.jsonl is damaged or was edited" in told[0]
    metrics.unlink()
    told.clear()
    assert read_rows(metrics, report=told.append) == []
    assert told == [f"{metrics} is missing."]


def test_no_file_no_rows(tmp_path):
    assert read_rows(tmp_path / "metrics.jsonl") == []


def test_what_json_does_not_know():
    assert finite({"a": float("nan"), "b": 1.5, "c": float("inf")}) == {
        "a": None,
        "b": 1.5,
        "c": None,
    }
