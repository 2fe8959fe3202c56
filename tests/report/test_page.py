"""The HTML report: what it says of runs of all kinds, whole and damaged."""

import html.parser
import json
import re
import shutil

import numpy as np
import pytest

from cnnlab import inference
from cnnlab.config import apply_overrides, to_json
from cnnlab.report.run_page.data import page_data
from cnnlab.report.run_page.page import make_report
from cnnlab.report.run_page.run_record import read_records
from cnnlab.report.run_page.tables import (
    rank_groups,
    run_order,
    show_big,
    show_bytes,
    show_duration,
)
from cnnlab.tasks.words import show_score
from cnnlab.train.runtime.workdir import Workdir
from tests import trained_runs
from tests.report.pages import comparison_page


class Reader(html.parser.HTMLParser):
    """Text, attributes and balance of a page."""

    VOID = frozenset({"meta", "link", "img", "input", "br", "wbr"})

    def __init__(self, page):
        super().__init__()
        self.open, self.urls, self.ids, self.text = [], [], [], []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.urls += [attrs[key] for key in ("src", "href") if key in attrs]
        self.ids += [attrs["id"]] if "id" in attrs else []
        if tag == "img":
            assert attrs["alt"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.text.append(data)

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())


def data_of(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', page, flags=re.S)[1])


@pytest.fixture(scope="module")
def comparison():
    return comparison_page()


def test_needs_no_other_file(comparison):
    page = Reader(comparison)
    for url in page.urls:
        assert url.startswith(("data:", "#")), url
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", comparison)
    anchors = [url[1:] for url in page.urls if url.startswith("#")]
    assert set(anchors) <= set(page.ids)
    assert len(set(page.ids)) == len(page.ids)
    assert len(comparison) < 2**20


def test_says_what_the_runs_say(comparison):
    words = Reader(comparison).words
    records = read_records([trained_runs.lenet(0), trained_runs.lenet(1)])
    scores = [record.result["test"]["accuracy"] for record in records]
    assert f"{100 * np.mean(scores):.2f} % ± {100 * np.std(scores, ddof=1):.2f} %" in words
    for record in records:
        assert f"{100 * record.result['test']['accuracy']:.2f} %" in words
        assert f"{record.result['num_parameters']:,}" in words
    assert "4 runs in 3 configurations" in words
    for text in ("lenet_relu", "hog", "unet_bn", "digit_scenes", "mean IoU"):
        assert text in words, text
    assert "python launch.py train --config=" in words
    assert "taken for" in words
    assert "% of pixels are wrong" in words
    assert "Filters of backbone/conv1" in words
    assert "A classical baseline has neither" in words


def test_data_of_the_curves(comparison):
    data = data_of(comparison)
    assert [group["runs"] for group in data["groups"]] == [[0, 1], [2], [3]]
    curve = data["runs"][0]["curves"]["train"]
    rows = [row for row in read_records([trained_runs.lenet(0)])[0].rows if row["split"] == "train"]
    assert curve["step"] == [row["step"] for row in rows]
    np.testing.assert_allclose(curve["loss"], [row["loss"] for row in rows], rtol=1e-4)
    assert "miou" in data["runs"][3]["curves"]["validation"]
    confusion = data["runs"][0]["confusion"]
    assert np.sum(confusion["counts"]) == 359
    assert not confusion["pixels"] and data["runs"][3]["confusion"]["pixels"]


def test_long_runs_are_thinned():
    (record,) = read_records([trained_runs.lenet(0)])
    rows = [
        {"step": s, "epoch": s / 10, "split": "train", "loss": float(s)} for s in range(1, 5001)
    ]
    rows[7]["loss"] = None
    record = type(record)(**{**vars(record), "rows": rows})
    curve = page_data([record], [[0]], [""])["runs"][0]["curves"]["train"]
    assert len(curve["step"]) == 1000
    assert curve["loss"][0] == 3.0
    assert curve["loss"][1] == (6 + 7 + 9 + 10) / 4


def test_one_run_without_weights(tmp_path):
    run = shutil.copytree(trained_runs.lenet(0), tmp_path / "run",
                          ignore=shutil.ignore_patterns("checkpoints"))  # fmt: skip
    page = Reader(make_report([run]))
    assert "lenet_relu on digits" in page.words
    assert "There is no checkpoint" in page.words
    assert "config" not in page.ids  # there is nothing that could differ


def test_pictures_are_optional():
    """Then neither weights nor data are read."""

    def refuse(path, checkpoint):
        raise AssertionError

    page = Reader(make_report([trained_runs.lenet(0)], pictures=0, load=refuse))
    assert "inside" not in page.ids
    assert {"curves", "classes", "cost", "reproduce"} <= set(page.ids)


@pytest.mark.parametrize("missing", ["result.json", "metrics.jsonl", "dataset.json",
                                     "environment.json", "confusion_matrix.npy"])  # fmt: skip
def test_run_with_a_missing_piece(tmp_path, missing):
    run = shutil.copytree(trained_runs.lenet(0), tmp_path / "run")
    (run / missing).unlink()
    other = trained_runs.lenet(1)
    page = Reader(make_report([run, other], pictures=0))
    if missing not in ("result.json", "environment.json"):
        assert missing.removesuffix(".jsonl") in page.words
    assert "Runs" in page.words


def test_run_of_which_only_the_config_is_there(tmp_path):
    folder = tmp_path / "new"
    folder.mkdir()
    shutil.copy(trained_runs.lenet(0) / "config.json", folder)
    words = Reader(make_report([folder])).words
    assert "no step logged yet" in words
    assert "dataset.json is missing" in words


def test_names_cannot_break_the_page(tmp_path):
    """Class names and paths are whatever a user has."""
    evil = "</script><script>alert(1)</script>"
    run = shutil.copytree(trained_runs.lenet(0), tmp_path / "<b>&amp;'\"")
    info = json.loads((run / "dataset.json").read_text())
    info["class_names"][3] = evil
    Workdir(run).write("dataset.json", info)
    page = make_report([run], pictures=0)
    assert evil not in page
    assert data_of(page)["runs"][0]["confusion"]["names"][3] == evil
    assert evil in " ".join(Reader(page).text)


def test_many_configurations(tmp_path):
    """More than there are colours, with a table of runs by fields."""
    config = inference.load_run(trained_runs.lenet(0)).config
    for number in range(10):
        folder = tmp_path / f"rate{number}"
        shutil.copytree(trained_runs.lenet(0), folder,
                        ignore=shutil.ignore_patterns("check*"))  # fmt: skip
        changed = apply_overrides(config, {"optimizer.learning_rate": 0.1 * (number + 1)})
        Workdir(folder).write("config.json", to_json(changed))
    page = make_report([tmp_path], pictures=0)
    assert Reader(page).words.count("lenet_relu learning_rate=") >= 10
    assert "hsl(" in page


def test_a_run_that_was_repeated_does_not_narrow_the_spread(tmp_path):
    copy = shutil.copytree(trained_runs.lenet(0), tmp_path / "again")
    runs = [trained_runs.lenet(0), copy, trained_runs.lenet(1)]
    words = Reader(make_report(runs, pictures=0)).words
    scores = [record.result["test"]["accuracy"] for record in read_records(runs)]
    assert scores[0] == scores[1]
    assert f"± {100 * np.std(scores[1:], ddof=1):.2f} %" in words
    assert "2 seeds" in words


def test_runs_are_ranked_by_validation(tmp_path):
    """Though the other one is better on the test split, whose number is shown."""
    folders = [tmp_path / "good_on_test", tmp_path / "good_on_validation"]
    config = inference.load_run(trained_runs.lenet(0)).config
    for folder, test, rate in zip(folders, (0.99, 0.5), (0.1, 0.2), strict=True):
        shutil.copytree(trained_runs.lenet(0), folder,
                        ignore=shutil.ignore_patterns("check*"))  # fmt: skip
        changed = apply_overrides(config, {"optimizer.learning_rate": rate})
        (folder / "config.json").write_text(json.dumps(to_json(changed)))
        result = json.loads((folder / "result.json").read_text())
        result["test"]["accuracy"] = test
        (folder / "result.json").write_text(json.dumps(result))
    rows = [json.loads(line) for line in (folders[0] / "metrics.jsonl").read_text().splitlines()]
    for row in rows:
        if row["split"] == "validation":
            row["accuracy"] = 0.1
    (folders[0] / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    records = read_records(folders)
    assert rank_groups(records, [[0], [1]]) == [1, 0]
    assert sorted(range(2), key=lambda i: run_order(records[i])) == [1, 0]
    page = make_report(folders, pictures=0)
    cards = re.findall(r'class="what">([^<]*)</p><p class="value">([^<]*)<', page)
    shown = page[page.index("ranked by validation") :]
    assert "best validation accuracy" in shown
    assert shown.index("good_on_validation") < shown.index("good_on_test")
    assert cards[0] == ("Test accuracy, best on validation", "50.00 %")


def test_many_classes(monkeypatch):
    """Tables of as many runs as a page can hold, the best first."""
    monkeypatch.setattr("cnnlab.report.run_page.page._CLASS_ROWS", 15)
    runs = [trained_runs.lenet(0), trained_runs.lenet(1)]
    page = make_report(runs, pictures=0)
    assert "Of 2 runs the best 1, because of the many classes." in Reader(page).words
    scores = [record.best_validation for record in read_records(runs)]
    assert re.findall(r'data-class-table="(\d)"', page) == [str(np.argmax(scores))]


def test_numbers_for_people():
    assert show_score(0.98765, "accuracy") == "98.77 %"
    assert show_score(0.98765, "loss") == "0.9877"
    assert show_score(None, "loss") == show_score(float("nan"), "loss") == "\N{EN DASH}"
    assert [show_big(x) for x in (61_706, 11.7e6, 1.82e9, 5)] == ["61.7 k", "11.7 M", "1.82 G", "5"]
    assert show_bytes(2_500_000) == "2.5 MB"
    assert [show_duration(x) for x in (19.5, 600, 8000)] == ["19.5 s", "10 min", "2.2 h"]
