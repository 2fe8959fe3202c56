"""A run that is complete can be trained longer; nothing else about it may differ."""

import shutil

import pytest

from cnnlab.config import apply_overrides
from cnnlab.errors import UserError
from cnnlab.inference import load_run
from cnnlab.storage import checksums
from cnnlab.train import fit
from cnnlab.train.runtime.workdir import Workdir
from tests.conftest import assert_trees_equal
from tests.train.test_loop import Quiet, final_state, rows

LONG = 14


@pytest.fixture
def config(tiny_config):
    return apply_overrides(
        tiny_config,
        {
            "steps": 8,
            "schedule.name": "constant",
            "log_every_steps": 2,
            "checkpoint.every_steps": 4,
        },
    )


@pytest.fixture
def complete(config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("complete") / "run"
    fit(config, folder, callbacks=[Quiet()])
    return folder


def test_longer_is_what_it_would_have_been(config, complete, tmp_path):
    """With a schedule that does not depend on the duration: bit for bit, momentum included."""
    longer = apply_overrides(config, {"steps": LONG})
    whole = fit(longer, tmp_path / "whole", callbacks=[Quiet()])
    display = Quiet()
    result = fit(longer, complete, callbacks=[display])
    assert any("was complete after 8 steps; it is trained longer" in n for n in display.notes)
    assert f"Resuming at step 8 of {LONG}." in display.notes
    assert result["test"] == whole["test"] and result["steps"] == LONG
    assert_trees_equal(
        final_state(longer, complete).state, final_state(longer, tmp_path / "whole").state
    )
    # The last scores of the shorter run stay among the rows.
    at_its_end = [r for r in rows(complete) if r["step"] == 8 and r["split"] != "train"]
    assert [row["split"] for row in at_its_end] == ["validation", "test"]
    ours = [row for row in rows(complete) if row not in at_its_end]
    assert ours == rows(tmp_path / "whole")
    assert Workdir(complete).config().steps == LONG
    assert load_run(complete).step in (4, 8, 12, LONG)
    assert fit(longer, complete, callbacks=[Quiet()]) == result


def test_what_is_no_longer_run_is_refused_and_changes_nothing(config, complete):
    before = {path: path.read_bytes() for path in complete.rglob("*.json*")}
    for changes, sentence in (
        ({"steps": 6}, "can be trained longer, not shorter"),
        ({"steps": LONG, "seed": 1}, "holds a run with another config"),
    ):
        with pytest.raises(UserError, match=sentence):
            fit(apply_overrides(config, changes), complete, callbacks=[Quiet()])
    assert {path: path.read_bytes() for path in complete.rglob("*.json*")} == before
    unfinished = Workdir(complete)
    checksums.forget(complete / "result.json")
    (complete / "result.json").unlink()
    with pytest.raises(UserError, match="not complete yet"):
        fit(apply_overrides(config, {"steps": LONG}), unfinished.path, callbacks=[Quiet()])


class Killed(BaseException):
    """Stands for SIGKILL."""


@pytest.mark.parametrize("moment", ["forget", "write"])
def test_a_kill_while_it_is_made_longer_loses_nothing(config, complete, monkeypatch, moment):
    """Killed before the result goes, or after it and before the config comes."""
    longer = apply_overrides(config, {"steps": LONG})

    def killed(path, *data):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(f"cnnlab.train.runtime.workdir.checksums.{moment}", killed)
        with pytest.raises(Killed):
            fit(longer, complete, callbacks=[Quiet()])
    assert load_run(complete).config.steps == 8
    fit(config, complete, callbacks=[Quiet()])
    assert fit(longer, complete, callbacks=[Quiet()])["steps"] == LONG
    shutil.rmtree(complete)
