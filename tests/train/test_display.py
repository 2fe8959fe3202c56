"""The displays: plain lines for logs, a live bar for terminals."""

import io

import pytest
from rich.console import Console

from cnnlab.train.callbacks.progress import LiveDisplay, PlainDisplay

TRAIN = {"step": 50, "epoch": 0.5, "split": "train", "loss": 1.25, "accuracy": 0.5,
         "images_per_second": 1234.0}  # fmt: skip
EVAL = {"step": 100, "epoch": 1.0, "split": "validation", "loss": 0.75, "accuracy": 0.875}


def show(display):
    display.note("hello")
    display.start(0, 100)
    display.progress(7)
    display.train(TRAIN)
    display.evaluation(EVAL, best=True)
    display.stop()


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
    display.start(0, 100)
    display.progress(7)
    display.stop()
    before, after = out.getvalue().split("  7/100", 1)
    assert "compiling" in before and "compiling" not in after


def test_the_metric_that_decides_is_shown(capsys):
    display = PlainDisplay()
    display.metric = "miou"
    display.start(0, 100)
    display.evaluation({**EVAL, "miou": 0.25}, best=True)
    display.train(TRAIN)  # which has no IoU
    evaluated, trained = capsys.readouterr().out.splitlines()
    assert "loss 0.7500  mean IoU 25.00 %  (best so far)" in evaluated
    assert "accuracy" not in evaluated and "accuracy 50.00 %" in trained
