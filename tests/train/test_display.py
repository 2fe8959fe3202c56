"""The displays: plain lines for logs, a live bar for terminals."""

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from cnnlab.train.callbacks.progress import LiveDisplay, PlainDisplay

TRAIN = {"step": 50, "epoch": 0.5, "split": "train", "loss": 1.25, "accuracy": 0.5,
         "images_per_second": 1234.0}  # fmt: skip
EVAL = {"step": 100, "epoch": 1.0, "split": "validation", "loss": 0.75, "accuracy": 0.875}


def run(step=0, metric="accuracy"):
    return SimpleNamespace(step=step, total_steps=100, metric=metric, best_step=100)


def show(display):
    display.note("hello")
    display.on_start(run())
    display.on_progress(run(7))
    display.on_log(run(50), TRAIN)
    display.on_evaluation(run(100), EVAL)
    display.on_end(run(100), None)


def test_plain(capsys):
    show(PlainDisplay())
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "hello"
    assert lines[1].startswith(
        "step 50/100  epoch 0.50  loss 1.2500  accuracy 50.00 %  1234 images"
    )
    assert "left" in lines[1]
    assert lines[2] == "step 100/100  validation: loss 0.7500  accuracy 87.50 %  (best so far)"


@pytest.mark.parametrize("width", [80, 120])
def test_live(width):
    out = io.StringIO()
    show(LiveDisplay(Console(file=out, force_terminal=True, width=width)))
    text = out.getvalue()
    assert "hello" in text
    assert "validation" in text
    assert "100/100" in text


def test_live_tells_that_it_compiles_until_the_first_step_is_over():
    out = io.StringIO()
    display = LiveDisplay(Console(file=out, force_terminal=True, width=100))
    display.on_start(run())
    display.on_progress(run(7))
    display.on_end(run(7), None)
    before, after = out.getvalue().split("  7/100", 1)
    assert "compiling" in before and "compiling" not in after


def test_the_metric_that_decides_is_shown(capsys):
    display = PlainDisplay()
    display.on_start(run(metric="miou"))
    display.on_evaluation(run(100, "miou"), {**EVAL, "miou": 0.25})
    display.on_log(run(50, "miou"), TRAIN)  # which has no IoU
    evaluated, trained = capsys.readouterr().out.splitlines()
    assert "loss 0.7500  mean IoU 25.00 %  (best so far)" in evaluated
    assert "accuracy" not in evaluated and "accuracy 50.00 %" in trained
