"""Input ahead of its use, and the time for which devices wait for it."""

import sys
import threading
import time

import numpy as np
import pytest
from PIL import Image

import cnnlab.data.geometry.image_source
from cnnlab.config import apply_overrides
from cnnlab.train import fit
from cnnlab.train.callbacks.json_lines import read_rows
from cnnlab.train.runtime.prefetch import InputClock, Prefetched
from tests.train.test_loop import Quiet


def slowly(count, seconds):
    for number in range(count):
        time.sleep(seconds)
        yield number


def test_items_keep_their_order_and_their_error():
    def broken():
        yield from range(5)
        raise KeyError("the sixth")

    feed = Prefetched(broken())
    assert [next(feed) for _ in range(5)] == list(range(5))
    for _ in range(2):
        with pytest.raises(KeyError, match="the sixth"):
            next(feed)
    assert list(Prefetched((number for number in range(7)), ahead=1)) == list(range(7))


def test_only_a_few_are_made_ahead():
    made = []
    feed = Prefetched((made.append(number) or number for number in range(100)), ahead=2)
    time.sleep(0.2)
    assert made == [0, 1, 2]  # two that wait, and one in the maker's hands
    assert next(feed) == 0
    feed.close()
    assert len(made) <= 4


def test_closing_closes_what_is_fed():
    """Also while an exception, or a clock, still holds the feed."""
    closed = []

    def workers():
        try:
            yield from range(100)
        finally:
            closed.append(True)

    feed = Prefetched(workers())
    assert next(feed) == 0 and not closed
    feed.close()
    assert closed


def test_one_that_is_dropped_ends_its_thread():
    before = threading.active_count()
    feed = Prefetched(number for number in range(100))
    assert next(feed) == 0 and threading.active_count() == before + 1
    del feed
    deadline = time.monotonic() + 5
    while threading.active_count() > before:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_waiting_counts_from_when_the_devices_are_done():
    busy_until = time.monotonic()
    clock = InputClock(Prefetched(slowly(5, 0.1)), lambda: time.monotonic() >= busy_until)
    for _ in clock:
        busy_until = time.monotonic() + 0.06  # of each 0.1 s, the devices compute 0.06
    assert 0.14 < clock.take() < 0.35  # 0.1 + 4 * 0.04, and what the machine is late by
    assert clock.take() == 0.0


def test_input_that_is_early_costs_nothing():
    clock = InputClock(iter(range(5)), lambda: False)
    assert list(clock) == list(range(5)) and clock.seconds == 0.0


def test_a_run_tells_how_long_it_waited(tiny_config, tmp_path, monkeypatch, capsys):
    """A folder that is streamed, from a disk that is slow."""
    rng = np.random.default_rng(0)
    for label in range(2):
        folder = tmp_path / "images" / "train" / str(label)
        folder.mkdir(parents=True)
        for number in range(30):
            pixels = rng.integers(0, 256, (8, 8), np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    monkeypatch.setattr(sys.modules["cnnlab.data.cache"], "MAX_BYTES", 0)
    config = apply_overrides(
        tiny_config,
        {"data.name": f"folder:{tmp_path / 'images'}", "batch_size": 8,
         "evaluation.every_epochs": 10.0},
    )  # fmt: skip
    fit(config, tmp_path / "fast", callbacks=[Quiet()])
    read_image = cnnlab.data.geometry.image_source.read_image

    def slow(*args, **options):
        time.sleep(0.02)
        return read_image(*args, **options)

    monkeypatch.setattr(cnnlab.data.geometry.image_source, "read_image", slow)
    fit(config, tmp_path / "slow")
    trained = [
        [row for row in read_rows(tmp_path / run / "metrics.jsonl") if row["split"] == "train"]
        for run in ("fast", "slow")
    ]
    assert all(0.0 <= row["input_wait"] <= 1.0 for rows in trained for row in rows)
    assert trained[1][-1]["input_wait"] > 0.5
    assert "input-bound" in capsys.readouterr().out
    for one, other in zip(*trained, strict=True):
        assert one["loss"] == other["loss"]
