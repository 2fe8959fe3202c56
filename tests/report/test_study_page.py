"""The page of a study: whole, alone, escaped, and made of any study; figures plotly.js can read."""

import json
import re

import plotly.graph_objects as go
import pytest

from cnnlab.report import study_plots
from cnnlab.report.study_data import Scale
from cnnlab.report.study_page import study_page
from tests.report.study_records import SCALES, awkward, mixed, study, trial

SHARES = {"optimizer.learning_rate": 0.7, "model.name": 0.3}


def figures(page):
    """The figures that the page has, by name."""
    return json.loads(re.search(r"^const PLOTS = (.*);$", page, flags=re.M)[1])


@pytest.fixture(scope="module")
def page():
    return study_page(
        mixed(), importances=SHARES, command="python launch.py train", notes=("On the test split",)
    )


def test_page_is_alone(page):
    """Nothing is loaded: no scripts, styles, pictures or fonts of elsewhere."""
    frame = page.replace(study_plots_js(page), "")
    assert not re.search(r"<link|<img|<iframe|\bsrc=|@import|url\(", frame)
    assert page.count("plotly.js v") == 1
    assert len(page.encode()) < 8e6


def study_plots_js(page):
    """The script of plotly.js, which is the longest."""
    return max(re.findall(r"<script>(.*?)</script>", page, flags=re.S), key=len)


def test_page_has_everything(page):
    assert set(figures(page)) == {
        "history", "importance", "timeline", "curves",
        *(f"slice {name}" for name in mixed().varied),
    }  # fmt: skip
    for text in (
        "92.00 %",
        "python launch.py train",
        "On the test split",
        "9 complete",
        "1 failed",
    ):
        assert text in page
    assert len(re.findall(r'<tr id="trial\d+"', page)) == 12
    assert 'class="missing"' not in page.split("<noscript>")[0]


def test_texts_are_escaped(page):
    assert "<b>NaN</b>" not in page
    assert "The loss was &lt;b&gt;NaN&lt;/b&gt; &amp; &#34;bad&#34;" in page
    evil = "</script><script>alert(1)</script>"
    trials = [trial(0, value=0.5, name=evil), trial(1, "failed", reason=evil), trial(2, value=0.6)]
    scales = SCALES | {"model.name": Scale("choice", ("lenet", evil))}
    record = study(*trials, name=evil, scales=scales)
    page = study_page(record, importances={}, too_few="few", command=evil)
    assert "<script>alert" not in page
    assert set(figures(page)) == {"history", "slice model.name"}
    # What the page puts in as HTML:
    assert all("<script" not in study_plots.hover_text(record, t) for t in trials)


@pytest.mark.parametrize("name", awkward())
def test_page_of_a_study_of_which_little_can_be_said(name):
    page = study_page(awkward()[name], importances={}, too_few="too few trials")
    assert "too few trials" in page
    assert ("Best config" in page) == (awkward()[name].best is not None)
    json.dumps(figures(page), allow_nan=False)
    said = {
        "empty": "No trial has begun: there is nothing to compare yet.",
        "failed": "All 3 trials have failed: there is no best config. The last one: out of memory",
        "pruned": "No trial is complete (2 pruned)",
        "running": "No trial is complete (1 running, 1 waiting)",
        "one": "No hyper-parameter varies.",
        "alike": "No hyper-parameter varies.",
        "only the seed": "mean accuracy of 3 seeds with its 95 % confidence interval, trials",
        "a loss that diverged": "Outliers are triangles at the edge.",
    }
    assert said[name] in page


@pytest.mark.parametrize("name", ["mixed", *awkward()])
def test_figures_are_plotlys(name):
    """Plotly's own check of names and types; a misspelt one would be ignored by the page."""
    record = mixed() if name == "mixed" else awkward()[name]
    plots = [
        study_plots.history(record),
        study_plots.learning_curves(record),
        study_plots.timeline(record),
        study_plots.importance(record, SHARES),
        *study_plots.slices(record).values(),
    ]
    for plot in filter(None, plots):
        go.Figure(plot)


def test_points_say_which_trial_they_are():
    history = study_plots.history(mixed())
    numbers = [n for trace in history["data"] for n in trace.get("customdata", [])]
    assert sorted(set(numbers)) == list(range(12))
    text = study_plots.hover_text(mixed(), mixed().trials[3])
    assert text.startswith("<b>trial 3</b>, pruned<br>accuracy 61.00 %, step 200<br>learning_rate")
    assert text.endswith("<i>median pruning</i>")


def test_table_of_trials_sorts_by_numbers(page):
    row = re.search(r'<tr id="trial3".*?</tr>', page, flags=re.S)[0]
    keys = re.findall(r'data-key="([^"]*)"', row)
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
    assert "50.00 ± 127.06 %" in page
