"""Studies made up for the tests of what is told of them."""

import datetime

from cnnlab.report.study_page.data import Scale, StudyResults, Trial
from cnnlab.report.study_page.metric import Metric

START = datetime.datetime(2024, 5, 6, 14, 0)
SCALES = {
    "optimizer.learning_rate": Scale("log"),
    "model.name": Scale("choice", ("lenet", "mlp")),
    "model.options.dropout_rate": Scale("linear"),
}


def at(seconds):
    """A time after the start of the study."""
    return START + datetime.timedelta(seconds=seconds)


def trial(number, state="complete", value=None, rate=0.1, name="lenet", **fields):
    """A trial; an MLP has a dropout rate, and a LeNet none."""
    params = {"optimizer.learning_rate": rate, "model.name": name}
    if name == "mlp":
        params["model.options.dropout_rate"] = 0.1 * (1 + number % 3)
    params |= fields.pop("params", {})
    return Trial(number, state, value, params, **fields)


def study(*trials, name="digits", metric="accuracy", direction="maximize", scales=None, **fields):
    """A study of the accuracy."""
    return StudyResults(name, Metric(metric, direction), trials, scales or SCALES, **fields)


def mixed():
    """12 trials of all states, in two lanes, with a conditional hyper-parameter."""
    trials = []
    for i in range(12):
        state = {3: "pruned", 7: "failed", 11: "running"}.get(i, "complete")
        curve = {100 * (j + 1): 0.5 + 0.08 * j + 0.01 * i for j in range(2 if i in (3, 7) else 5)}
        began, spent = 60.0 * (i // 2), 50.0 + i % 2
        done = state != "running"
        trials.append(
            trial(
                i,
                state,
                curve[500] if state == "complete" else None,
                rate=10.0 ** (-3 + i / 4),
                name=("lenet", "mlp")[i % 3 == 0],
                curve=curve,
                started=at(began),
                ended=at(began + spent) if done else None,
                seconds=spent if done else None,
                workdir=f"runs/digits/{i}",
                reason={3: "median pruning", 7: 'The loss was <b>NaN</b> & "bad"'}.get(i, ""),
            )
        )
    return study(*trials, total=20)


def awkward():
    """Studies about which little can be said, by name."""
    return {
        "empty": study(scales={}),
        "failed": study(*[trial(i, "failed", reason="out of memory") for i in range(3)]),
        "one": study(trial(0, value=0.5, started=at(0), ended=at(9), seconds=9.0)),
        "pruned": study(trial(0, "pruned", curve={10: 0.2}), trial(1, "pruned", curve={10: 0.3})),
        "running": study(trial(0, "running", started=at(0)), trial(1, "waiting")),
        "alike": study(*[trial(i, value=0.5) for i in range(12)]),
        "only the seed": study(
            *[trial(i, value=0.5 + 0.1 * i, params={"seed": i}) for i in range(3)],
            scales=SCALES | {"seed": Scale("choice", (0, 1, 2))},
        ),
        "a loss that diverged": study(
            *[trial(i, value=0.1 * (i + 1), rate=0.1 * (i + 1)) for i in range(8)],
            trial(8, value=1e9),
            metric="loss",
            direction="minimize",
        ),
    }
