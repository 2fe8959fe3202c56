"""Metric rows: what a resumed run keeps, and what a killed run leaves."""

import json

from cnnlab.train.records import Records, finite, read_rows


def row(step):
    return {"step": step, "epoch": step / 10, "split": "train", "loss": 1.0 / step}


def test_resumed_run_drops_later_rows(tmp_path):
    metrics = tmp_path / "metrics.jsonl"
    first = Records(metrics, tmp_path / "events")
    for step in (5, 10, 15):
        first.write(row(step))
    first.close()
    again = Records(metrics, tmp_path / "events", after_step=10)
    again.write(row(12))
    again.close()
    assert [r["step"] for r in read_rows(metrics)] == [5, 10, 12]


def test_row_that_is_there_already(tmp_path):
    records = Records(tmp_path / "metrics.jsonl", tmp_path / "events")
    records.write(row(1))
    records.close()
    again = Records(tmp_path / "metrics.jsonl", tmp_path / "events", after_step=1)
    again.write(row(1))
    again.close()
    assert read_rows(tmp_path / "metrics.jsonl") == [row(1)]


def test_rows_are_there_before_close(tmp_path):
    records = Records(tmp_path / "metrics.jsonl", tmp_path / "events")
    records.write(row(1))
    assert read_rows(tmp_path / "metrics.jsonl") == [row(1)]
    records.close()


def test_line_that_a_kill_left_unfinished(tmp_path):
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_text(json.dumps(row(1)) + "\n" + json.dumps(row(2))[:9])
    assert read_rows(metrics) == [row(1)]


def test_no_file_no_rows(tmp_path):
    assert read_rows(tmp_path / "metrics.jsonl") == []


def test_what_json_does_not_know():
    assert finite({"a": float("nan"), "b": 1.5, "c": float("inf")}) == {
        "a": None,
        "b": 1.5,
        "c": None,
    }
