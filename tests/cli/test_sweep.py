"""launch.py sweep, called as a user calls it."""

import json
import os
import signal
import threading
import time

import pytest

from cnnlab.cli.main import main
from cnnlab.config import Config
from cnnlab.sweep.study.plan import plan_config

TINY = [
    "--config=mlp_digits", "--config.epochs=none", "--config.steps=8", "--config.num_devices=1",
    "--config.data.image_size=8", "--config.evaluation.every_epochs=0.1",
]  # fmt: skip
RATE = "--param=optimizer.learning_rate=[0.01, 1e-6]"


def launch(*arguments):
    return main(["launch.py", "sweep", *arguments])


def last_json(capsys):
    return json.loads(capsys.readouterr().out.strip().splitlines()[-1])


def test_a_study_from_its_list_to_its_best_config(tmp_path, capsys):
    study = f"--study={tmp_path}/rates"
    asked = [*TINY, RATE, study, "--sampler=grid"]
    assert launch(*asked, "--dry_run") == 0
    out = capsys.readouterr().out
    assert "trial 1  optimizer.learning_rate=1e-06\n2 trials; nothing was started." in out
    assert not (tmp_path / "rates").exists()

    assert launch(*asked) == 0
    out = capsys.readouterr().out
    assert "study of accuracy, 2 trials by grid" in out
    assert "optimizer.learning_rate = [0.01, 1e-06]" in out
    assert "[1/2] trial 0  learning_rate=0.01  accuracy" in out
    assert "best configs of the study rates" in out
    assert f"train --config={tmp_path}/rates/best.py" in out
    for name in ("study.html", "trials.csv", "best.json", "trials/0001/result.json"):
        assert (tmp_path / "rates" / name).stat().st_size > 0

    # Once more it has nothing to do, with all its flags, or with the folder alone.
    for again in (asked, [study]):
        assert launch(*again, "--json") == 0
        numbers = last_json(capsys)
        assert numbers["counts"] == {"complete": 2}
        assert numbers["best"]["params"] == {"optimizer.learning_rate": 0.01}
    assert launch(study, "--status") == 0
    assert "study rates: 2 of 2 trials done" in capsys.readouterr().out

    for flags, line in (
        (["--seed=1"], "seed: 0 -> 1"),
        (["--sampler=random"], "sampler: grid -> random"),
        (["--config.batch_size=32"], "config.batch_size: 64 -> 32"),
        (["--param=batch_size=[32, 64]"], "param batch_size: none -> [32, 64]"),
        (["--repeats=2"], "repeats: 1 -> 2"),
    ):
        assert launch(study, *flags) == 1
        assert line in capsys.readouterr().err

    # The best config trains to its score.
    value = numbers["best"]["value"]
    best = f"--config={tmp_path}/rates/best.py"
    assert main(["launch.py", "train", best, f"--workdir={tmp_path}/again"]) == 0
    rows = (tmp_path / "again" / "metrics.jsonl").read_text().splitlines()
    accuracies = [r["accuracy"] for r in map(json.loads, rows) if r["split"] == "validation"]
    assert max(accuracies) == value


def test_interrupted(tmp_path, capsys):
    """By a signal in the first trial: 130, what to do next, and the trial goes on there."""
    asked = [*TINY, "--config.steps=100000", RATE, f"--study={tmp_path}/s", "--sampler=grid",
             "--config.checkpoint.every_steps=20", "--population=off"]  # fmt: skip

    def interrupt():
        while not list((tmp_path / "s" / "trials").glob("0000/checkpoints/20/*")):
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    assert launch(*asked) == 130
    assert f"Resume with: python launch.py sweep --study={tmp_path}/s" in capsys.readouterr().err
    assert launch(f"--study={tmp_path}/s", "--status", "--json") == 0
    assert last_json(capsys)["counts"] == {"waiting": 1}


def test_space_of_an_experiment(tmp_path, capsys):
    path = tmp_path / "experiment.py"
    path.write_text(
        "from cnnlab.config import Config\n"
        "from cnnlab import sweep as s\n\n"
        "def get_config():\n    return Config()\n\n"
        "def sweep():\n"
        "    return {'optimizer.learning_rate': s.log(1e-3, 1), 'batch_size': '[32, 64]'}\n"
    )
    assert launch(f"--config={path}", "--dry_run", "--json", "--trials=12", "--seed=3") == 0
    trials = last_json(capsys)["trials"]
    assert trials[10:] == [None, None]  # tpe looks at results
    assert all(1e-3 < t["optimizer.learning_rate"] < 1 for t in trials[:10])
    assert {t["batch_size"] for t in trials[:10]} == {32, 64}
    assert launch(f"--config={path}", "--dry_run", "--param=seed=range(3)", "--json") == 0
    assert sorted(t["seed"] for t in last_json(capsys)["trials"]) == [0, 1, 2]


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ([], "Name a hyper-parameter to search"),
        (["--param=optimizer.learning_rat=log(1e-3, 1)"], "Did you mean 'learning_rate'"),
        (["--param=optimizer.learning_rate=log(1e-3, 1)"], "Say how many trials: --trials=N"),
        ([RATE, "--sampler=gird"], "Unknown sampler 'gird'. Did you mean 'grid'"),
        ([RATE, "--pruner=ash"], "Unknown pruner 'ash'. Did you mean 'asha'"),
        ([RATE, "--constraint=batch_size <"], "'batch_size <' is not a condition"),
        ([RATE, "--workers=0"], "--workers=0 must be at least 1"),
        ([RATE, "--launcher=pbs"], "--launcher=pbs must be one of local, slurm, ray"),
        ([RATE, "--ray=num_cpus=1"], "--ray=num_cpus=1 is for tasks: add --launcher=ray"),
        ([RATE, "--status"], "There is no study in"),
        ([RATE, "positional"], "'sweep' takes flags only"),
    ],
)
def test_mistakes(flags, sentence, tmp_path, capsys):
    assert launch(*TINY, f"--study={tmp_path}/study", *flags) == 1
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1
    assert not (tmp_path / "study").exists()


def test_plan_knows_metric_and_direction():
    options = {"sampler": "grid", "pruner": "none", "repeats": 1, "seed": 0}
    config = Config(steps=10, epochs=None)
    config.evaluation.metric = "loss"
    spec = plan_config(config, {"seed": [0, 1]}, [], **options)
    assert (spec.metric, spec.direction) == ("loss", "minimize")
