"""What is told of a study: spreads by hand, which config is best, axes, lanes."""

import numpy as np
import pytest
from scipy import stats

from cnnlab.report.study_page.data import Scale
from cnnlab.report.study_page.metric import Metric, Spread
from cnnlab.report.study_page.parallel_axes import make_rail, metric_rail
from cnnlab.report.study_page.timeline import make_timeline
from cnnlab.units import value_text
from tests.report.study_records import SCALES, at, awkward, mixed, study, trial


def test_spread_by_hand():
    spread = Spread.of([1.0, 2.0, 3.0])
    assert (spread.mean, spread.sd, spread.n) == (2.0, 1.0, 3)
    # The table of Student's t: 4.303 for 2 degrees of freedom and 95 %.
    assert spread.high - spread.mean == pytest.approx(4.303 / np.sqrt(3), rel=1e-4)
    assert spread.mean - spread.low == pytest.approx(spread.high - spread.mean)
    assert Spread.of([0.5]) == Spread(0.5, None, None, None, 1)


def test_spread_is_scipys_interval():
    values = np.random.default_rng(0).normal(size=7)
    low, high = stats.t.interval(0.95, 6, loc=values.mean(), scale=stats.sem(values))
    spread = Spread.of(list(values))
    np.testing.assert_allclose((spread.low, spread.high), (low, high))


def test_metric_is_read_in_percent_where_it_is_a_share():
    accuracy, loss = Metric("accuracy", "maximize"), Metric("loss", "minimize")
    assert (accuracy.text(0.98765), accuracy.label) == ("98.77 %", "validation accuracy (%)")
    assert (loss.text(0.123456), loss.label) == ("0.12346", "validation loss")
    spread = Spread(0.9, 0.1, 0.85, 0.95, 4)
    assert accuracy.spread_text(spread) == "90.00 ± 10.00 %"
    assert accuracy.interval_text(spread) == "95 % interval 85.00 to 95.00 %"
    assert Metric("value", "minimize", "").label == "value"
    assert Metric("miou", "maximize").percent


def test_interval_of_a_share_stays_within_0_and_100_percent():
    spread = Spread.of([0.99, 1.0, 0.98])
    assert spread.high > 1.0
    assert Metric("accuracy", "maximize").interval(spread) == (spread.low, 1.0)
    assert Metric("loss", "minimize").interval(spread) == (spread.low, spread.high)
    assert Metric("accuracy", "maximize").interval(Spread.of([0.0, 0.01]))[0] == 0.0


def test_fence_leaves_out_only_what_diverged():
    loss = Metric("loss", "minimize")
    values = [0.1, 0.2, 0.3, 0.4, 0.5]
    assert loss.fence(values) is None
    assert loss.fence([*values, 100.0]) == 0.5
    assert loss.fence([-100.0, *values]) is None  # very good is no outlier
    assert Metric("accuracy", "maximize").fence([*values, -100.0]) == 0.1


def test_best_config_is_that_of_the_best_mean():
    """Of the seeds of a config the best comes first; a single lucky trial is not the best."""
    scales = SCALES | {"seed": Scale("choice", (0, 1))}
    record = study(
        trial(0, value=0.70, rate=0.1, params={"seed": 0}),
        trial(1, value=0.90, rate=0.2, params={"seed": 0}),
        trial(2, value=0.60, rate=0.2, params={"seed": 1}),
        trial(3, value=0.85, rate=0.1, params={"seed": 1}),
        trial(4, "pruned", rate=0.3, params={"seed": 0}, curve={10: 0.99}),
        scales=scales,
    )
    best, second = record.candidates
    assert [t.number for t in best.trials] == [3, 0]
    assert best.params == {"optimizer.learning_rate": 0.1, "model.name": "lenet"}
    assert best.spread.mean == pytest.approx(0.775)
    assert second.spread.n == 2
    assert record.repeated
    assert record.varied == ["optimizer.learning_rate"]


def test_repeats_inside_of_trials_and_small_is_better():
    record = study(
        trial(0, value=0.4, rate=0.1, repeats=(0.3, 0.5)),
        trial(1, value=0.3, rate=0.2, repeats=(0.2, 0.4)),
        metric="loss",
        direction="minimize",
    )
    assert record.best.trials[0].number == 1
    assert record.best.spread == Spread.of([0.2, 0.4])
    assert record.running_best() == [(0, 0.4), (1, 0.3)]


def test_short_names_are_unique_and_say_something():
    scales = dict.fromkeys(
        ["optimizer.learning_rate", "model.name", "optimizer.name", "model.options.width",
         "backbone.options.width", "seed"], Scale("linear"))  # fmt: skip
    assert study(scales=scales).short_names == {
        "optimizer.learning_rate": "learning_rate",
        "model.name": "model.name",
        "optimizer.name": "optimizer.name",
        "model.options.width": "model.options.width",
        "backbone.options.width": "backbone.options.width",
        "seed": "seed",
    }
    assert study(scales={"model.name": Scale("linear")}).short_names == {"model.name": "model.name"}


def test_values_as_texts():
    texts = [value_text(x) for x in (0.000123456, True, None, 3, "lenet")]
    assert texts == ["0.0001235", "true", "none", "3", "lenet"]


def test_rails():
    record = mixed()
    rate = make_rail(record, "optimizer.learning_rate")
    logarithms = np.log10([c.params["optimizer.learning_rate"] for c in record.candidates])
    np.testing.assert_allclose(
        rate.heights, (logarithms - logarithms.min()) / np.ptp(logarithms), atol=1e-12
    )
    assert [text for _, text in rate.ticks] == ["0.001", "0.01", "0.1"]
    rail = make_rail(record, "model.options.dropout_rate")
    assert rail.ticks[0] == (0.0, "unset")
    for candidate, height in zip(record.candidates, rail.heights, strict=True):
        assert (height > 0.1) == ("model.options.dropout_rate" in candidate.params)
    heights = make_rail(record, "model.name").heights
    names = [candidate.params["model.name"] for candidate in record.candidates]
    assert [round(height) for height in heights] == [name == "mlp" for name in names]
    assert len(set(heights)) == len(heights)  # spread out
    heights = metric_rail(record).heights
    assert (max(heights), min(heights)) == (1.0, 0.0)


def test_an_outlier_lies_at_the_end_of_its_rail():
    record = awkward()["a loss that diverged"]
    rail = metric_rail(record)
    assert max(rail.heights) == 1.0
    at_end = [c for c, h in zip(record.candidates, rail.heights, strict=True) if h == 1.0]
    assert at_end[0].spread.mean == pytest.approx(0.8)
    assert at_end[1].spread.mean > 1e8
    low, high = record.metric_range()
    assert low < 0.1
    assert high < 1.0


def test_timeline_has_as_many_lanes_as_ran_at_once():
    timeline = make_timeline(mixed())
    assert timeline.unit == "minutes"
    assert [[bar.trial.number for bar in lane] for lane in timeline.lanes] == [
        [0, 2, 4, 6, 8, 10],
        [1, 3, 5, 7, 9, 11],
    ]
    assert timeline.lanes[1][0].end == pytest.approx(51 / 60)
    apart = study(*[trial(i, value=0.5, started=at(9 * i), ended=at(9 * i + 8)) for i in range(5)])
    assert [len(lane) for lane in make_timeline(apart).lanes] == [5]
    assert make_timeline(study()) is None
