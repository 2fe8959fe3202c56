"""Who watches a run hears of each evaluation and can end it; the run can go on later."""

import signal

import pytest

from cnnlab.config import apply_overrides
from cnnlab.train import Interrupted, Pruned, fit
from cnnlab.train.callbacks.pruning import Pruning
from cnnlab.train.runtime.signals import StopRequests
from tests.train.test_loop import Quiet, assert_same_run, terminate


def test_watch_ends_a_run_that_can_go_on(tiny_config, tmp_path):
    config = apply_overrides(tiny_config, {"evaluation.every_epochs": 0.17})  # every 7 steps
    told = []

    @Pruning
    def watch(row):
        told.append((row["step"], row["accuracy"]))
        return row["step"] == 14

    with pytest.raises(Pruned, match="step 14") as pruned:
        fit(config, tmp_path / "run", callbacks=[Quiet(), watch])
    assert pruned.value.step == 14
    assert [step for step, _ in told] == [7, 14]

    # It went on from its checkpoint; what was told before is not told again.
    fit(config, tmp_path / "run", callbacks=[Quiet(), watch])
    assert [step for step, _ in told] == [7, 14, 20]
    assert all(0 <= accuracy <= 1 for _, accuracy in told)
    fit(config, tmp_path / "whole", callbacks=[Quiet()])
    assert_same_run(config, tmp_path / "whole", tmp_path / "run")


def test_a_run_is_not_ended_at_its_last_step(tiny_config, tmp_path):
    result = fit(tiny_config, tmp_path, callbacks=[Quiet(), Pruning(lambda row: row["step"] == 20)])
    assert result["steps"] == 20


def test_outer_stop_requests_hear_of_the_signal(tiny_config, tmp_path):
    with StopRequests() as outer:
        with pytest.raises(Interrupted):
            fit(
                tiny_config,
                tmp_path,
                callbacks=[Quiet(4, terminate)],
            )
        assert outer.signum == signal.SIGTERM
