"""The page of a study: whole, alone, escaped, and made of any study."""

import json
import math
import re

import pytest

from cnnlab.report.study_page.charts import history, learning_curves, slices
from cnnlab.report.study_page.data import Scale
from cnnlab.report.study_page.metric import Spread
from cnnlab.report.study_page.page import About, hover_text, study_page
from cnnlab.report.style import STATE_COLORS
from tests.report.study_records import SCALES, awkward, mixed, study, trial
from tests.report.test_page import Reader, data_of

SHARES = {"optimizer.learning_rate": 0.7, "model.name": 0.3}


def figures(page):
    """The charts that the page has, by name."""
    return data_of(page)["charts"]


@pytest.fixture(scope="module")
def page():
    about = About(
        "lenet, mlp on digits", 143, "python launch.py train", Spread.of([0.99, 0.97, 1.0])
    )
    return study_page(mixed(), importances=SHARES, about=about)


def test_page_is_alone(page):
    """Nothing is loaded: no scripts, styles, pictures or fonts of elsewhere."""
    assert not re.search(r"<img|<iframe|\bsrc=|@import|url\((?!#)", page)
    assert all(url.startswith(("data:", "#")) for url in Reader(page).urls)
    assert "default-src 'none'; img-src data:;" in page
    assert len(page.encode()) < 2**17


def test_page_has_everything(page):
    assert set(figures(page)) == {
        "history", "curves", *(f"slice {name}" for name in mixed().varied),
    }  # fmt: skip
    assert {"history", "importance", "timeline", "curves", "slices"} <= set(Reader(page).ids)
    for text in (
        "92.00 %",
        "python launch.py train",
        "lenet, mlp on digits: study digits",
        "Validation accuracy",
        "on 143 images",
        "98.67 ± 1.53 %",
        "±: sd over 3 seeds; 95 % interval 94.87 to 100.00 % of the mean",
        "9 complete",
        "1 failed",
    ):
        assert text in page
    assert len(re.findall(r'<tr id="trial\d+"', page)) == 12
    assert 'class="missing"' not in page.split("<noscript>")[0]


def test_page_says_why_there_is_no_importance():
    page = study_page(mixed(), importances={}, about=About(no_importance="There are 9 trials."))
    assert "importance" not in Reader(page).ids
    assert "means of complete trials of a choice. There are 9 trials." in Reader(page).words


def test_texts_are_escaped(page):
    assert "<b>NaN</b>" not in page
    assert "The loss was &lt;b&gt;NaN&lt;/b&gt; &amp; &#34;bad&#34;" in page
    evil = "</script><script>alert(1)</script>"
    trials = [trial(0, value=0.5, name=evil), trial(1, "failed", reason=evil), trial(2, value=0.6)]
    scales = SCALES | {"model.name": Scale("choice", ("lenet", evil))}
    record = study(*trials, name=evil, scales=scales)
    page = study_page(record, importances={}, about=About(evil, command=evil))
    assert "<script>alert" not in page
    assert set(figures(page)) == {"history", "slice model.name"}


@pytest.mark.parametrize("name", awkward())
def test_page_of_a_study_of_which_little_can_be_said(name):
    page = study_page(awkward()[name], importances={})
    assert "importance" not in Reader(page).ids
    assert ("Best config" in page) == (awkward()[name].best is not None)
    json.dumps(figures(page), allow_nan=False)
    # What cannot be drawn has no card.
    assert all(
        text.strip() for text in re.findall(r"<section.*?>(.*?)</section>", page, flags=re.S)
    )
    said = {
        "empty": "No trial has begun: there is nothing to compare yet.",
        "failed": "All 3 trials have failed: there is no best config. The last one: out of memory",
        "pruned": "No trial is complete (2 pruned)",
        "running": "No trial is complete (1 running, 1 waiting)",
        "one": "Best config",
        "alike": "Best config",
        "only the seed": "Validation accuracy, mean of 3 seeds",
        "a loss that diverged": "Outliers are triangles at the edge.",
    }
    assert said[name] in page


@pytest.mark.parametrize("name", ["mixed", *awkward()])
def test_charts_can_be_drawn(name):
    """Points lie within their axes, colours and texts are known to the page."""
    record = mixed() if name == "mixed" else awkward()[name]
    texts = {t.number: hover_text(record, t) for t in record.trials}
    for chart in filter(None, [history(record), learning_curves(record), *slices(record).values()]):
        (left, right), (low, high) = chart.x.range, chart.y.range
        assert left < right and low < high
        assert chart.x.kind == "linear" or left > 0
        for series in chart.series:
            assert series.color in STATE_COLORS
            assert len(series.trials) in (0, len(series.points))
            assert all(texts[number] for number in series.trials)
            for x, y, *_ in series.points:
                assert left <= x <= right and math.isfinite(y)
                assert low <= y <= high or series.edge


def test_points_say_which_trial_they_are():
    numbers = [n for series in history(mixed()).series for n in series.trials]
    assert sorted(set(numbers)) == list(range(12))
    text = hover_text(mixed(), mixed().trials[3])
    assert text[:2] == ["trial 3, pruned", "validation accuracy 61.00 %, step 200"]
    assert text[2].startswith("learning_rate")
    assert text[-1] == "median pruning"


def test_table_of_trials_sorts_by_numbers(page):
    row = re.search(r'<tr id="trial3".*?</tr>', page, flags=re.S)[0]
    keys = re.findall(r'data-value="([^"]*)"', row)
    assert keys[:2] == ["3", "pruned"]
    assert float(keys[2]) == pytest.approx(61.0)
    assert float(keys[3]) == pytest.approx(10**-2.25)


def test_table_has_a_spread_where_trials_were_repeated():
    once = study(trial(0, value=0.5, repeats=(0.5,)), trial(1, value=0.5, repeats=(0.5,), rate=1.0))
    page = study_page(once, importances={})
    assert "standard deviation over its seeds" not in page
    assert "1 more config reached the same" in page
    twice = study(trial(0, value=0.5, repeats=(0.4, 0.6)))
    page = study_page(twice, importances={})
    assert "standard deviation over its seeds" in page
    assert "50.00 ± 14.14 %" in page
    assert "95 % interval 0.00 to 100.00 %" in page
