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

from cnnlab import sweep
from cnnlab.config import apply_overrides
from cnnlab.errors import UserError
from cnnlab.sweep.study.plan import plan_function
from cnnlab.sweep.study.study import open_study
from cnnlab.sweep.workers.command import WorkerCommand
from cnnlab.sweep.workers.local import work_here, work_in_processes
from cnnlab.sweep.workers.objective import FunctionObjective
from cnnlab.sweep.workers.queue import MOST_DEATHS, _take_up, take, take_others
from cnnlab.sweep.workers.shares import worker_environment
from cnnlab.train import Interrupted
from cnnlab.train.callbacks.json_lines import CLOCKED, read_rows
from cnnlab.train.runtime.signals import StopRequests
from tests.conftest import files_left
from tests.marks import exhaustive, slow
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


def undisturbed_and_killed(tmp_path, monkeypatch, sampler, pruner, *, trials, workers, kills):
    """The results of a study in this process, and of the same in workers that are killed."""
    objective = FunctionObjective(slow_curve)
    options = {"direction": "maximize", "repeats": 1, "seed": 0}
    spec = plan_function(objective, SPACE, (), sampler=sampler, pruner="none", **options)
    spec = dataclasses.replace(spec, pruner=pruner, evaluations=9)
    whole, parts = (
        open_study(tmp_path / name / "study", spec, storage_url=None, trials=trials)
        for name in ("whole", "parts")
    )
    work_here(whole, objective, population=1, ended=lambda: None)
    calls = tmp_path / "calls"
    calls.mkdir()
    monkeypatch.setenv(CALLS, str(calls))
    kills = Kills(kills)

    def reported():
        return sum(len(path.read_text().splitlines()) for path in calls.iterdir())

    command = WorkerCommand(parts.folder, parts.storage_url, objective, 1, workers)
    with killing(random.Random(1), reported, kills):
        work_in_processes(parts, command, ended=lambda: None)
    assert len(kills) == kills.most
    assert not multiprocessing.active_children()
    return whole.results(), parts.results()


def test_one_worker_killed_leaves_the_study_as_it_was(tmp_path, monkeypatch):
    """TPE and ASHA look at results. Trials, proposals, early ends: number for number."""
    whole, parts = undisturbed_and_killed(
        tmp_path, monkeypatch, "tpe(startup=3)", "asha", trials=6, workers=1, kills=1
    )
    assert whole.counts["pruned"] > 1
    assert told(parts) == told(whole)


@pytest.mark.parametrize(
    "pruner",
    [exhaustive("asha"), slow("hyperband"), exhaustive("median(startup=2)")],
)
def test_one_worker_killed_again_and_again(pruner, tmp_path, monkeypatch):
    whole, parts = undisturbed_and_killed(
        tmp_path, monkeypatch, "tpe(startup=4)", pruner, trials=24, workers=1, kills=6
    )
    assert whole.counts["pruned"] > 2
    assert told(parts) == told(whole)


@pytest.mark.parametrize("sampler", [slow("random"), exhaustive("sobol")])
def test_several_workers_killed_where_results_do_not_matter(sampler, tmp_path, monkeypatch):
    """Whichever worker is faster, each trial is what its number says."""
    whole, parts = undisturbed_and_killed(
        tmp_path, monkeypatch, sampler, "none", trials=20, workers=3, kills=5
    )
    assert told(parts) == told(whole)


@pytest.mark.slow
def test_several_workers_killed_where_results_matter(tmp_path, monkeypatch):
    """No trial is lost and none is run twice; which are proposed depends on who is faster."""
    _, parts = undisturbed_and_killed(
        tmp_path, monkeypatch, "tpe(startup=4)", "asha", trials=24, workers=2, kills=5
    )
    assert [trial.number for trial in parts.trials] == list(range(24))
    assert sum(parts.counts[state] for state in ("complete", "pruned")) == 24
    assert len({trial.params["x"] for trial in parts.trials}) == 24
    for trial in parts.trials:
        level = 1 - abs(trial.params["x"] - 0.7)
        steps = range(1, 10 if trial.state == "complete" else trial.last_step + 1)
        assert trial.curve == {step: level * (1 - 0.5**step) for step in steps}


@pytest.mark.slow
def test_ctrl_c_of_several_workers(tmp_path, monkeypatch):
    calls = tmp_path / "calls"
    calls.mkdir()
    monkeypatch.setenv(CALLS, str(calls))

    def study():
        return sweep.run(SPACE, slow_curve, folder=tmp_path / "parts", workers=2, trials=12,
                         sampler="random", direction="maximize")  # fmt: skip

    def interrupt():
        while sum(len(path.read_text().splitlines()) for path in calls.iterdir()) < 20:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(Interrupted):
        study()
    whole = sweep.run(SPACE, curve, trials=12, sampler="random", direction="maximize")
    assert told(study()) == told(whole)
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("noted", [True, False])
def test_a_decision_that_was_lost_is_made_again(noted, tmp_path):
    """The worker died after its report: before the pruner took notes, or when nobody knew of them.

    At each evaluation of each trial the study is the same, whether that happens or not.
    """
    rates = [0.2, 0.3, 0.4, -0.2, -0.3, 0.35]
    options = {"sampler": "grid", "pruner": "asha", "direction": "maximize"}

    def playing(folder, forgetful):
        sweep.run({"x": rates}, curve, folder=folder, trials=1, **options)
        study = open_study(folder, None, storage_url=None, trials=6)
        with StopRequests() as stop:
            while trial := take(study, stop):
                for step in range(1, 10):
                    value = (1 - abs(trial.values["x"] - 0.7)) * (1 - 0.5**step)
                    if forgetful:
                        trial._trial.report(value, step)
                        if noted:
                            trial._trial.should_prune()
                        study.leases.drop(trial.number)
                        number = trial.number
                        trial = take(study, stop)
                        assert trial.number == number
                    if trial.report(step, value):
                        trial.finish("pruned", seconds=0.0)
                        break
                else:
                    trial.finish("complete", value=value, seconds=0.0)
        return [(t.state, t.curve) for t in study.results().trials]

    whole = playing(tmp_path / "whole", forgetful=False)
    assert {state for state, _ in whole} == {"complete", "pruned"}
    assert [len(curve) for _, curve in whole] == [9, 9, 9, 1, 1, 3]
    assert playing(tmp_path / "parts", forgetful=True) == whole


@pytest.mark.parametrize("workers", [exhaustive(1), slow(2)])
def test_killed_workers_of_real_runs(tiny_config, tmp_path, workers):
    """Ten kills each: every trial goes on from its checkpoint, bit for bit, and leaves no trash."""
    config = apply_overrides(
        tiny_config,
        {"steps": 600, "checkpoint.every_steps": 10, "evaluation.every_epochs": 1.0,
         "log_every_steps": 50, "optimizer.ema_decay": 0.9},
    )  # fmt: skip
    space = {"optimizer.learning_rate": [0.01, 0.03, 0.1]}
    whole = sweep.run(space, config, sampler="grid", folder=tmp_path / "whole", population="off")
    kills = Kills(10)

    def saved():
        folders = (tmp_path / "parts" / "trials").glob("*/checkpoints/*")
        return sum(int(path.name) for path in folders if path.name.isdigit())

    spec = open_study(tmp_path / "whole", None, storage_url=None, trials=None).spec
    study = open_study(tmp_path / "parts", spec, storage_url=None, trials=None)
    command = WorkerCommand(study.folder, study.storage_url, None, 1, workers)
    with killing(random.Random(2), saved, kills):
        work_in_processes(study, command, ended=lambda: None)
    assert len(kills) == 10
    # All have ended: the command finds nothing to do, and clears up.
    parts = sweep.run(space, config, sampler="grid", folder=tmp_path / "parts", population="off")
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
    trials = [files_left(tmp_path / name / "trials") for name in ("whole", "parts")]
    assert trials[0] == trials[1]


def test_a_trial_that_kills_its_workers_fails_in_the_end(tmp_path):
    """A death is a lease that is free without a word; where a trial gets on, it starts anew."""
    sweep.run(SPACE, parabola, folder=tmp_path, trials=1)
    study, stop = open_study(tmp_path, None, storage_url=None, trials=3), StopRequests()

    def state():
        return study.results().trials[1].state

    assert take(study, stop).number == 1
    study.leases.drop(1)
    for death in range(MOST_DEATHS - 1):
        assert take(study, stop).number == 1, death
        study.leases.drop(1)
    trial = take(study, stop)
    trial.report(1, 0.5)  # it got on
    study.leases.drop(1)
    for _ in range(MOST_DEATHS):
        trial = take(study, stop)
        assert (trial.number, trial.step) == (1, 1)
        trial.release()  # put back in order: no death
        assert state() == "waiting"
        assert take(study, stop).number == 1
        assert state() == "running"
        study.leases.drop(1)
    assert take(study, stop).number == 2
    (failed,) = study.results().with_state("failed")
    assert failed.number == 1
    assert failed.reason.startswith(f"its worker died {MOST_DEATHS + 1} times without getting on")
    assert take(study, stop) is None


def test_who_counts_trials_hides_none_of_them_from_a_worker(tmp_path, monkeypatch):
    """A look at a lock takes it for a moment, so no worker may look for a trial meanwhile."""
    sweep.run(SPACE, parabola, folder=tmp_path, trials=1)
    study = open_study(tmp_path, None, storage_url=None, trials=3)
    study.leases.drop(take(study, StopRequests()).number)
    mutex, is_free = study.leases.mutex, study.leases.is_free
    inside, looks = [], []

    @contextlib.contextmanager
    def entered():
        with mutex():
            inside.append(True)
            yield
            inside.clear()

    def look(number):
        looks.append((number, bool(inside)))
        return is_free(number)

    monkeypatch.setattr(study.leases, "mutex", entered)
    monkeypatch.setattr(study.leases, "is_free", look)
    assert study.to_take() == 2
    assert looks == [(1, True)]


def test_order_of_trials(tmp_path):
    """A trial that nobody works on comes before new ones, under its number and with its values."""
    sweep.run(SPACE, parabola, folder=tmp_path, trials=1, sampler="tpe(startup=1)")
    study, stop = open_study(tmp_path, None, storage_url=None, trials=4), StopRequests()
    one, two = take(study, stop), take(study, stop)
    assert (one.number, two.number) == (1, 2)
    study.leases.drop(1)
    again = take(study, stop)
    assert (again.number, again.values) == (1, one.values)
    again.finish("complete", value=0.2, seconds=0.0)
    two.finish("pruned", seconds=0.0)
    assert take(study, stop).number == 3
    assert take(study, stop) is None
    assert not study.is_over()


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


def test_a_lease_that_is_free_since_the_trial_has_ended(tmp_path):
    """Between the look at the trials and the lock, the trial's worker has ended it."""
    sweep.run(SPACE, parabola, folder=tmp_path, trials=1)
    study, stop = open_study(tmp_path, None, storage_url=None, trials=3), StopRequests()
    trial = take(study, stop)
    before = study.trials()
    trial.finish("complete", value=0.0, seconds=0.0)
    assert _take_up(study, before[1], stop) is None
    assert study.leases.is_free(1)


def test_trials_that_are_taken_together(tmp_path):
    space = {"x": [1, 2, 3, 4], "kind": ["a", "b"]}
    stop = StopRequests()

    def make_study(name):
        folder = tmp_path / name
        sweep.run(space, lambda params: 0.0, folder=folder, trials=1, sampler="grid")
        return open_study(folder, None, storage_url=None, trials=8)

    def kind(values):
        return values["kind"]

    def take_group(study, most, group):
        first = take(study, stop)
        return [first, *take_others(study, first, most - 1, group, stop)]

    def numbers(trials):
        return [trial.number for trial in trials]

    one = make_study("one")
    trials = take_group(one, 3, kind)
    assert numbers(trials) == [1, 3, 5]  # 0 has been run, 2 and 4 are put by
    assert [trial.values["kind"] for trial in trials] == ["b"] * 3
    assert [t.number for t in one.results().with_state("waiting")] == [2, 4]
    assert one.to_take() == 4
    assert numbers(take_group(one, 9, kind)) == [2, 4, 6]
    assert numbers(take_group(one, 9, kind)) == [7]
    assert take(one, stop) is None

    two = make_study("two")
    assert numbers(take_group(two, 3, lambda values: "all")) == [1, 2, 3]
    two.leases.drop(3)
    assert numbers(take_group(two, 9, lambda values: "all")) == [3, 4, 5, 6, 7]
    assert numbers(take_group(make_study("three"), 2, lambda values: None)) == [1]
