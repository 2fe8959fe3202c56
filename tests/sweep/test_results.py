"""What a study leaves in its folder: read back, and trained again to the same score."""

import csv
import datetime
import json
import math
import re

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState, create_trial
from rich.console import Console

from cnnlab.config import apply_overrides, load_experiment, to_json
from cnnlab.report.study_page.metric import Spread
from cnnlab.sweep.study.best import experiment_source, write_best
from cnnlab.sweep.study.importance import FEWEST_TRIALS, importances
from cnnlab.sweep.study.reading import read_study
from cnnlab.sweep.study.results import write_results
from cnnlab.sweep.study.status import duration_text, seconds_left, status_text
from cnnlab.sweep.study.tables import best_table
from cnnlab.train import fit
from cnnlab.train.callbacks.json_lines import CLOCKED
from tests.report.study_records import at, awkward, mixed, study, trial

RATE = FloatDistribution(1e-3, 1.0, log=True)
MODEL = CategoricalDistribution(("lenet", "mlp"))
SEED = CategoricalDistribution((0, 1, 2))


def optuna_study(direction="maximize"):
    return optuna.create_study(study_name="lr", direction=direction)


def add(into, state=TrialState.COMPLETE, value=None, params=None, curve=None, **attributes):
    """Adds a trial; all of them have a learning rate and a model."""
    params = {"optimizer.learning_rate": 0.1, "model.name": "lenet"} | (params or {})
    known = {"optimizer.learning_rate": RATE, "model.name": MODEL, "seed": SEED}
    into.add_trial(
        create_trial(
            state=state,
            value=value,
            params=params,
            distributions={name: known[name] for name in params},
            intermediate_values=curve or {},
            user_attrs=attributes,
        )
    )


def write(raw, folder, config, metric, direction, total=None):
    runs = None if config is None else folder
    record = read_study(raw, metric=metric, direction=direction, total=total, folder=runs)
    return write_results(record, folder, config)


def rows_of(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_trials_are_read():
    raw = optuna_study()
    add(
        raw, value=0.9, seconds=7.5, outcomes=[[0.8, {"accuracy": 0.7}], [1.0, {}]], curve={9: 0.85}
    )
    add(raw, TrialState.PRUNED, curve={5: 0.5, 1: 0.25}, reason="median", workdir="runs/lr/1")
    add(raw, TrialState.RUNNING, released=True)
    add(raw, value=math.inf)
    record = read_study(raw, metric="accuracy", direction="maximize", total=9)
    complete, pruned, waiting, endless = record.trials
    assert (complete.seconds, complete.repeats) == (7.5, (0.8, 1.0))
    assert (pruned.state, pruned.last_step, pruned.last_value) == ("pruned", 5, 0.5)
    assert list(pruned.curve) == [1, 5]
    assert (waiting.state, endless.state) == ("waiting", "failed")
    assert endless.reason == "its value is inf"
    assert {name: scale.kind for name, scale in record.scales.items()} == {
        "optimizer.learning_rate": "log",
        "model.name": "choice",
    }


def test_ranges_of_one_field_are_one_hyper_parameter():
    """`sweep.space` numbers the keys of a field with several ranges."""
    raw = optuna_study()
    for key, distribution, value in [
        ("optimizer.learning_rate", FloatDistribution(0.01, 1.0, log=True), 0.5),
        ("optimizer.learning_rate (2)", FloatDistribution(0.001, 0.1, log=True), 0.002),
        ("width", CategoricalDistribution((8, 16)), 16),
        ("width (2)", FloatDistribution(20.0, 30.0), 25.0),
    ]:
        raw.add_trial(
            create_trial(value=1.0, params={key: value}, distributions={key: distribution})
        )
    record = read_study(raw, metric="accuracy", direction="maximize")
    assert record.trials[1].params == {"optimizer.learning_rate": 0.002}
    assert record.scales["optimizer.learning_rate"].kind == "log"
    assert record.scales["width"].choices == (8, 16, 25.0)


def test_folder(tmp_path):
    raw = optuna_study()
    for i in range(12):
        rate = 10.0 ** (-3 + i / 4)
        value = 0.9 - 0.05 * abs(i - 5)
        add(raw, value=value, params={"optimizer.learning_rate": rate},
            curve={10: 0.1 * i, 20: 0.5}, outcomes=[[value, {"accuracy": 0.123}]])  # fmt: skip
    add(raw, TrialState.FAIL, reason='not finite, at step 3;\n"a" <b>')
    config = load_experiment("lenet_digits")
    record = write(raw, tmp_path, config, "accuracy", "maximize", total=20)
    assert {path.name for path in tmp_path.iterdir()} == {
        "trials.csv", "best.py", "best.json", "study.html", "history.png", "importance.png",
        "slices.png", "parallel.png", "learning_curves.png", "timeline.png",
    }  # fmt: skip
    rows = rows_of(tmp_path / "trials.csv")
    assert len(rows) == 13
    assert rows[12]["reason"] == 'not finite, at step 3;\n"a" <b>'
    assert rows[12]["value"] == ""
    assert float(rows[5]["value"]) == record.best.spread.mean == 0.9
    assert float(rows[5]["params.optimizer.learning_rate"]) == 10.0**-1.75
    page = (tmp_path / "study.html").read_text()
    assert "test split, which had no part in the choice" in page
    assert '<p class="value">12.30 %</p>' in page
    assert f"train --config={tmp_path / 'best.py'} --workdir={tmp_path / 'best'}" in page
    # Again, while nothing has changed: the same files, and no others.
    before = (tmp_path / "trials.csv").read_bytes()
    write(raw, tmp_path, config, "accuracy", "maximize", total=20)
    assert (tmp_path / "trials.csv").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 10


def test_folder_of_a_study_without_results(tmp_path):
    raw = optuna_study()
    record = write(raw, tmp_path, load_experiment("lenet_digits"), "loss", "minimize")
    assert record.best is None
    assert {path.name for path in tmp_path.iterdir()} == {"trials.csv", "study.html"}
    add(raw, value=0.5)
    write(raw, tmp_path, None, "value", "minimize")  # of a function: no experiment
    assert not (tmp_path / "best.py").exists()
    assert "To train it again" not in (tmp_path / "study.html").read_text()


def test_csv_has_the_spread_over_repeats(tmp_path):
    raw = optuna_study()
    add(raw, value=2.0, outcomes=[[1.0, {}], [2.0, {}], [3.0, {}]], curve={7: 2.0})
    write(raw, tmp_path, None, "value", "minimize")
    (row,) = rows_of(tmp_path / "trials.csv")
    spread = Spread.of([1.0, 2.0, 3.0])
    assert [float(row[name]) for name in ("mean", "sd", "repeats", "steps")] == [2.0, 1.0, 3, 7]
    assert float(row["ci95_low"]) == spread.low
    assert float(row["ci95_high"]) == spread.high


def test_csv_has_no_formulas(tmp_path):
    """Texts that begin as a formula does get an apostrophe; negative numbers stay numbers."""
    raw, texts = optuna_study(), ("=1+1", "+1", "-x", "@SUM(A1)", "lenet")
    for text in texts:
        raw.add_trial(
            create_trial(
                value=-0.5,
                params={"model.name": text},
                distributions={"model.name": CategoricalDistribution(texts)},
                user_attrs={"reason": text},
            )
        )
    write(raw, tmp_path, None, "value", "minimize")
    rows = rows_of(tmp_path / "trials.csv")
    safe = ["'=1+1", "'+1", "'-x", "'@SUM(A1)", "lenet"]
    assert [row["params.model.name"] for row in rows] == [row["reason"] for row in rows] == safe
    assert {row["value"] for row in rows} == {"-0.5"}


def test_importances_name_the_strongest():
    """Of five hyper-parameters one matters, on a logarithmic axis; ten studies of 16 trials."""
    for seed in range(10):
        rng, raw = np.random.default_rng(seed), optuna_study()
        for _ in range(16):
            rate, decay = 10.0 ** rng.uniform(-3, 0), 10.0 ** rng.uniform(-6, -2)
            params = {
                "rate": rate,
                "decay": decay,
                "size": float(rng.uniform(16, 128)),
                "model": ("lenet", "mlp")[rng.integers(2)],
                "seed": int(rng.integers(3)),
            }
            value = 0.98 - 0.05 * (np.log10(rate) + 1) ** 2 - 0.02 * (params["model"] == "mlp")
            distributions = {
                "rate": RATE, "decay": FloatDistribution(1e-6, 1e-2, log=True),
                "size": FloatDistribution(16.0, 128.0), "model": MODEL, "seed": SEED,
            }  # fmt: skip
            value = float(value - 0.002 * np.log10(decay) + rng.normal(0, 0.005))
            raw.add_trial(create_trial(value=value, params=params, distributions=distributions))
        shares, why = importances(read_study(raw, metric="accuracy", direction="maximize"))
        assert next(iter(shares)) == "rate", seed
        assert sum(shares.values()) == pytest.approx(1.0)
        assert why == ""


def test_a_conditional_hyper_parameter_takes_no_credit_for_its_condition():
    """The MLPs are worse, whatever their dropout rate, which only they have."""
    rng = np.random.default_rng(0)
    trials = [trial(i, value=(0.9 if i % 2 else 0.5) + 0.01 * rng.normal(),
                    name="lenet" if i % 2 else "mlp", rate=10.0 ** rng.uniform(-3, 0))
              for i in range(24)]  # fmt: skip
    shares, _ = importances(study(*trials))
    assert shares["model.name"] > 0.8
    assert shares["model.options.dropout_rate"] < 0.1


def test_importance_says_why_there_is_none():
    assert importances(mixed())[1] == (
        f"To tell which hyper-parameter matters takes {FEWEST_TRIALS} complete trials; there are 9 "
        "so far."
    )
    assert importances(awkward()["alike"])[1].startswith("No hyper-parameter varies")
    same = study(*[trial(i, value=0.5, rate=0.1 + i) for i in range(12)])
    assert importances(same)[1].startswith("All complete trials have the same value")


def test_status():
    text = status_text(mixed(), now=at(330))
    assert text.splitlines() == [
        "study digits: 11 of 20 trials done (9 complete, 1 pruned, 1 failed, 1 running)",
        "best so far: validation accuracy 92.00 %, trial 10: "
        "learning_rate=0.3162  model.name=lenet",
        # 8 trials of 50.4 s, and 20.4 s of the one that has run for 30 s.
        "time left: about 7 min",
        "running: trial 11, 30 s, step 500, accuracy 93.00 %: learning_rate=0.5623  "
        "model.name=lenet",
        'last failure: trial 7: The loss was <b>NaN</b> & "bad"',
    ]
    assert status_text(awkward()["empty"]) == "study digits: 0 trials done (none has begun)"
    assert "no evaluation yet" in status_text(awkward()["running"], now=at(5))


def test_time_left():
    done = [trial(i, value=0.5, seconds=100.0) for i in range(4)]
    running = [trial(4 + i, "running", started=at(1000 - 50 * i)) for i in range(2)]
    record = study(*done, *running, total=10)
    # Four wait, two at a time take 200 s; those that run have 100 s and 50 s to go.
    assert seconds_left(record, at(1000)) == pytest.approx((4 * 100 + 100 + 50) / 2)
    assert seconds_left(study(*done, total=10), at(1000)) is None
    texts = [duration_text(s) for s in (3, 59.4, 61, 3600, 90000)]
    assert texts == ["3 s", "59 s", "1 min", "1 h 0 min", "1 d 1 h"]


def table_text(record):
    console = Console(width=100)
    with console.capture() as capture:
        console.print(best_table(record, rows=3))
    return capture.get()


def test_table_of_the_best():
    text = table_text(mixed())
    assert re.search(r"1 │\s+10 │\s+92.00 │ 0.3162\s+│ lenet", text)
    assert len([line for line in text.splitlines() if "│" in line]) == 3
    seeds = study(*[trial(i, value=0.5 + 0.1 * (i % 2), rate=0.1 * (1 + i // 2),
                          params={"seed": i % 2}) for i in range(4)])  # fmt: skip
    text = table_text(seeds)
    assert re.search(r"1 │\s+1, 0 │\s+55.00 ± 7.07 │\s+2 │ 0.00 to 100.00 │", text)
    table_text(awkward()["empty"])


def test_folds_are_averaged_like_seeds():
    """Values 0.5, 0.7 and 0.9: mean 0.7, sd 0.2, and t(0.975, 2) = 4.303 times 0.2 / sqrt(3)."""
    folds = study(*[trial(i, value=0.5 + 0.2 * (i % 3), rate=0.1 * (1 + i // 3),
                          params={"data.fold": i % 3}) for i in range(6)])  # fmt: skip
    assert folds.varied == ["optimizer.learning_rate"]
    best = folds.best
    assert (best.params, best.spread.n) == (
        {"optimizer.learning_rate": 0.1, "model.name": "lenet"},
        3,
    )
    np.testing.assert_allclose([best.spread.mean, best.spread.sd], [0.7, 0.2])
    text = table_text(folds)
    assert "folds" in text and "seeds" not in text
    assert re.search(r"1 │\s+2, 1, 0 │\s+70.00 ± 20.00 │\s+3 │ 20.32 to 100.00 │", text)
    both = study(
        *[trial(i, value=0.5, params={"data.fold": i % 2, "seed": i // 2}) for i in range(4)]
    )
    assert (both.best.spread.n, both.replicates) == (4, "runs")


def test_experiment_of_the_best_is_loaded(tmp_path):
    """By path, as Python and as JSON, whatever kinds of values there are."""
    base = load_experiment("lenet_digits")
    found = {
        "optimizer.learning_rate": 0.1 + 0.2,  # more digits than a table shows
        "seed": 3,
        "model.name": "mlp",
        "model.options.hidden": "(16, 8)",  # a tuple, as the study keeps it
        "data.name": 'folder:a "b"\\c \udcff\x1b',
        "optimizer.clip_norm": None,
        "schedule.step_epochs": (1.0, 2.0),
        "optimizer.options.nesterov": True,
    }
    title = 'Best of """ all \\ \udcff'
    write_best(tmp_path, base, found, title=title, command="python launch.py train")
    asked = json.dumps(to_json(apply_overrides(base, found)))
    for name in ("best.py", "best.json"):
        assert json.dumps(to_json(load_experiment(str(tmp_path / name)))) == asked, name
    source = experiment_source(base, {"seed": 1}, title="Best.", command="python launch.py train")
    assert source.startswith('"""Best.\n\n    python launch.py train\n"""\n\nfrom cnnlab.config')
    assert 'found = {"seed": 1}' in source
    assert '"data.' not in source  # what is the default stays out


def test_best_retrains_to_its_score(tmp_path, tiny_config):
    """Trials of an MLP; the files of the best give its numbers bit for bit."""
    raw = optuna_study()
    for i, rate in enumerate((0.003, 0.2)):
        params = {"optimizer.learning_rate": rate, "seed": 1, "model.name": "mlp"}
        result = fit(apply_overrides(tiny_config, params), tmp_path / f"trial{i}")
        add(raw, value=result["test"]["accuracy"], params=params)
    folder = tmp_path / "study"
    folder.mkdir()
    record = write(raw, folder, tiny_config, "accuracy", "maximize")
    best = record.best.trials[0]
    for name in ("best.py", "best.json"):
        again = fit(load_experiment(str(folder / name)), tmp_path / f"again {name}")
        assert again["test"]["accuracy"] == best.value
        rows = [(tmp_path / run / "metrics.jsonl").read_text().splitlines()
                for run in (f"trial{best.number}", f"again {name}")]  # fmt: skip
        for one, other in zip(*rows, strict=True):
            one, other = json.loads(one), json.loads(other)
            assert {k: v for k, v in one.items() if k not in CLOCKED} == {
                k: v for k, v in other.items() if k not in CLOCKED
            }


def test_time_of_a_study_is_local():
    """Optuna's times have no zone and are local; so is the clock that status asks."""
    raw = optuna_study()
    raw.ask()
    (begun,) = read_study(raw, metric="accuracy", direction="maximize").trials
    age = datetime.datetime.now() - begun.started
    assert abs(age.total_seconds()) < 60
