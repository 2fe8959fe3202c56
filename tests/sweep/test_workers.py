"""Several workers: killed at random moments, they leave the study as if nothing had happened."""

import contextlib
import dataclasses
import multiprocessing
import os
import random
import signal
import threading
import time

import pytest
from optuna.trial import TrialState

from cnnlab import sweep
from cnnlab.config import apply_overrides
from cnnlab.errors import UserError
from cnnlab.sweep.claim import Nothing
from cnnlab.sweep.ledger import MOST_DEATHS
from cnnlab.sweep.shares import worker_environment
from cnnlab.sweep.study import open_study
from cnnlab.train import Interrupted
from cnnlab.train.records import CLOCKED, read_rows
from tests.sweep.objectives import CALLS, curve, parabola, slow_curve

SPACE = {"x": "uniform(0, 1)"}


def told(results):
    """All that a study says, but for clocks and places."""
    return [
        dataclasses.replace(t, started=None, ended=None, seconds=None, workdir="")
        for t in results.trials
    ]


@contextlib.contextmanager
def killing(dice, grown, kills):
    """Kills workers with SIGKILL at random moments, each after `grown()` has grown.

    Args:
      dice: chooses moments and victims.
      grown: something that grows while workers get on.
      kills: receives the time of each kill; its `maxlen` is how many there are.
    """
    over = threading.Event()

    def kill():
        while len(kills) < kills.most and not over.is_set():
            before = grown()
            while grown() <= before and not over.is_set():
                time.sleep(0.005)
            over.wait(dice.uniform(0.0, 0.3))
            workers = multiprocessing.active_children()
            if workers and not over.is_set():
                os.kill(dice.choice(workers).pid, signal.SIGKILL)
                kills.append(time.monotonic())

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


class Kills(list):
    def __init__(self, most):
        self.most = most


@pytest.mark.slow
def test_killed_workers_of_a_study_that_looks_at_results(tmp_path, monkeypatch):
    """TPE and ASHA in two processes, five times one of them killed, and once stopped by Ctrl-C.

    Trials, proposals, early ends and all: number for number those of one undisturbed process.
    """
    options = {"sampler": "tpe(startup=4)", "pruner": "asha", "direction": "maximize",
               "trials": 24, "lag": 2}  # fmt: skip
    whole = sweep.run(SPACE, slow_curve, folder=tmp_path / "whole", **options)
    assert whole.counts["pruned"] > 4

    calls = tmp_path / "calls"
    calls.mkdir()
    monkeypatch.setenv(CALLS, str(calls))
    kills = Kills(5)

    def reported():
        return sum(len(path.read_text().splitlines()) for path in calls.iterdir())

    def study():
        return sweep.run(SPACE, slow_curve, folder=tmp_path / "parts", workers=2, **options)

    def interrupt():
        while reported() < 20:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    with killing(random.Random(1), reported, kills):
        threading.Thread(target=interrupt, daemon=True).start()
        with pytest.raises(Interrupted):
            study()
        parts = study()
    assert len(kills) >= 3
    assert told(parts) == told(whole)
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_killed_workers_of_real_runs(tiny_config, tmp_path):
    """Each trial goes on from its checkpoint, bit for bit, in whichever process."""
    config = apply_overrides(
        tiny_config,
        {"steps": 300, "checkpoint.every_steps": 10, "evaluation.every_epochs": 1.0,
         "log_every_steps": 50, "optimizer.ema_decay": 0.9},
    )  # fmt: skip
    space = {"optimizer.learning_rate": [0.01, 0.03, 0.1]}
    whole = sweep.run(space, config, sampler="grid", folder=tmp_path / "whole", population="off")
    kills = Kills(3)

    def saved():
        folders = (tmp_path / "parts" / "trials").glob("*/checkpoints/*")
        return sum(int(path.name) for path in folders if path.name.isdigit())

    with killing(random.Random(2), saved, kills):
        parts = sweep.run(space, config, sampler="grid", folder=tmp_path / "parts", workers=2,
                          population="off")  # fmt: skip
    assert len(kills) >= 2
    assert told(parts) == told(whole)
    resumed = 0
    for trial in ("0000", "0001", "0002"):
        rows = [
            [
                {name: x for name, x in row.items() if name not in CLOCKED}
                for row in read_rows(tmp_path / study / "trials" / trial / "metrics.jsonl")
            ]
            for study in ("whole", "parts")
        ]
        assert rows[0] == rows[1]
        resumed += (tmp_path / "parts" / "trials" / f"{trial}.log").read_text().count("Resuming at")
    assert resumed >= 1


def test_a_trial_that_kills_its_workers_fails_in_the_end(tmp_path):
    """A death is a lease that is free without a word; where a trial gets on, it starts anew."""
    sweep.run(SPACE, parabola, folder=tmp_path, trials=1)
    study = open_study(tmp_path, None, storage_url=None, trials=3)
    ledger = study.ledger
    claim = ledger.take()
    assert (claim.number, claim.resumed) == (1, False)
    ledger.leases.drop(1)
    for death in range(MOST_DEATHS - 1):
        claim = ledger.take()
        assert (claim.number, claim.resumed) == (1, True), death
        ledger.leases.drop(1)
    claim = ledger.take()
    ledger.report(claim, 1, 0.5)  # it got on
    ledger.leases.drop(1)
    for _ in range(MOST_DEATHS):
        claim = ledger.take()
        assert (claim.number, claim.curve) == (1, {1: 0.5})
        ledger.release(claim)  # put back in order: no death
        assert ledger.take().number == 1
        ledger.leases.drop(1)
    assert ledger.take().number == 2
    (failed,) = study.results().with_state("failed")
    assert failed.number == 1
    assert failed.reason.startswith(f"its worker died {MOST_DEATHS + 1} times without getting on")
    assert ledger.take() is Nothing.LEFT


def test_order_of_trials_with_a_lag(tmp_path):
    """A proposal waits for the results up to n - lag, sees no others, and new trials come last."""
    sweep.run(SPACE, parabola, folder=tmp_path, trials=1, sampler="tpe(startup=1)", lag=2)
    ledger = open_study(tmp_path, None, storage_url=None, trials=6).ledger
    one, two = ledger.take(), ledger.take()
    assert (one.number, two.number) == (1, 2)
    assert ledger.take() is Nothing.YET  # trial 3 sees trial 1
    ledger.finish(two, TrialState.COMPLETE, value=0.1)
    assert ledger.take() is Nothing.YET
    ledger.leases.drop(1)
    assert ledger.take() == dataclasses.replace(one, resumed=True)  # abandoned, so it comes first
    ledger.finish(one, TrialState.COMPLETE, value=0.2)
    first = ledger.take()

    # The same with another result of trial 2, which trial 3 must not see.
    sweep.run(SPACE, parabola, folder=tmp_path / "b", trials=1, sampler="tpe(startup=1)", lag=2)
    ledger = open_study(tmp_path / "b", None, storage_url=None, trials=6).ledger
    one, two = ledger.take(), ledger.take()
    ledger.finish(two, TrialState.PRUNED)
    ledger.finish(one, TrialState.COMPLETE, value=0.2)
    second = ledger.take()
    assert first.number == second.number == 3
    assert first.values == second.values


def test_workers_that_cannot_start(tmp_path):
    with pytest.raises(UserError, match="Several workers need a function that they can import"):
        sweep.run(SPACE, lambda params: 0.0, folder=tmp_path, trials=4, workers=2)


def test_shares(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    for name in ("JAX_PLATFORMS", "NPROC", "OMP_NUM_THREADS", "XLA_PYTHON_CLIENT_MEM_FRACTION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,5")
    shares = [worker_environment(index, 2) for index in range(2)]
    assert [share["NPROC"] for share in shares] == ["4", "4"]
    assert [share["CUDA_VISIBLE_DEVICES"] for share in shares] == ["0,5", "1"]
    assert "XLA_PYTHON_CLIENT_MEM_FRACTION" not in shares[0]
    shares = [worker_environment(index, 7) for index in range(7)]
    assert [share["CUDA_VISIBLE_DEVICES"] for share in shares] == list("0150150")
    memory = [float(share["XLA_PYTHON_CLIENT_MEM_FRACTION"]) for share in shares]
    assert memory[0] == 0.3  # three on the first device
    assert memory[1] == 0.45
    assert worker_environment(0, 99)["NPROC"] == "1"
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    share = worker_environment(0, 2)
    assert "OMP_NUM_THREADS" not in share
    assert "CUDA_VISIBLE_DEVICES" not in share


def test_stops_when_a_study_is_contradicted_by_its_storage(tmp_path):
    """Two folders of one name in one storage must be one study; in two journals they need not."""
    sweep.run(SPACE, parabola, folder=tmp_path / "a" / "s", trials=1)
    sweep.run(SPACE, curve, folder=tmp_path / "b" / "s", trials=1)
    (tmp_path / "b" / "s" / "study.json").write_text(
        (tmp_path / "a" / "s" / "study.json").read_text()
    )
    with pytest.raises(UserError, match="the storage's study 's' holds another study"):
        sweep.run(SPACE, parabola, folder=tmp_path / "b" / "s", trials=1)


def test_a_lease_that_is_free_since_the_trial_has_ended(tmp_path, monkeypatch):
    """Between the look at the trials and the lock, the trial's worker has ended it."""
    sweep.run(SPACE, parabola, folder=tmp_path, trials=1)
    study = open_study(tmp_path, None, storage_url=None, trials=3)
    claim = study.ledger.take()
    before = study.ledger.trials()
    study.ledger.finish(claim, TrialState.COMPLETE, value=0.0)
    monkeypatch.setattr(type(study.ledger), "trials", lambda self: before)
    assert study.ledger._take_up(before[1]) is None
    assert study.ledger.leases.is_free(1)


def test_trials_that_are_taken_together(tmp_path):
    space = {"x": [1, 2, 3, 4], "kind": ["a", "b"]}

    def ledger(name):
        folder = tmp_path / name
        sweep.run(space, lambda params: 0.0, folder=folder, trials=1, sampler="grid")
        return open_study(folder, None, storage_url=None, trials=8).ledger

    def kind(values):
        return values["kind"]

    def take(ledger, most, group, consecutive=False):
        first = ledger.take()
        count = ledger.count_others(first, most - 1, group, consecutive=consecutive)
        others = ledger.take_others(first, most - 1, group, consecutive=consecutive)
        assert len(others) == count
        return [first, *others]

    def numbers(claims):
        return [claim.number for claim in claims]

    one = ledger("one")
    claims = take(one, 3, kind)
    assert numbers(claims) == [1, 3, 5]  # 0 has been run, 2 and 4 are put by
    assert [claim.values["kind"] for claim in claims] == ["b"] * 3
    assert one.abandoned(one.trials()) == [2, 4]
    second = take(one, 9, kind)
    assert numbers(second) == [2, 4, 6]
    assert [claim.resumed for claim in second] == [True, True, False]
    assert numbers(take(one, 9, kind)) == [7]
    assert one.take() is Nothing.LEFT

    two = ledger("two")
    assert numbers(take(two, 3, kind, consecutive=True)) == [1]
    assert numbers(take(two, 3, lambda values: "all", consecutive=True)) == [2, 3, 4]
    two.leases.drop(3)
    assert numbers(take(two, 9, lambda values: "all", consecutive=True)) == [3]
    assert numbers(take(two, 2, lambda values: None)) == [5]
