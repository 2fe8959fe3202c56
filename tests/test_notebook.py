"""What is at the end of a notebook's cell: one line, or a table."""

import pytest

from cnnlab import create_model, inference
from cnnlab.classical import load_run
from cnnlab.config import apply_overrides, load_experiment
from tests import trained_runs
from tests.report.study_records import awkward, mixed


@pytest.fixture
def shown():
    return {
        "LeNet": create_model("lenet", num_classes=10),
        "lenet_relu on digits": load_experiment("lenet_digits"),
        "step 60": inference.load_run(trained_runs.lenet(0)),
        "hog on digits": load_run(trained_runs.hog()),
        "best validation accuracy 92.00 % (trial 10)": mixed(),
        "no trial has begun": awkward()["empty"],
    }


def test_objects_show_themselves_in_a_line_and_a_table(shown):
    for words, one in shown.items():
        assert words in repr(one) and len(repr(one)) < 160
        assert repr(one).startswith(type(one).__name__)
        page = one._repr_html_()
        assert page.startswith("<table>") and words in page and len(page) < 5000


def test_a_configs_table_has_what_differs_from_the_defaults():
    config = apply_overrides(load_experiment("lenet_digits"), {"data.name": "folder:<b>"})
    page = config._repr_html_()
    assert "optimizer.learning_rate" in page and "log_every_steps" not in page
    assert "folder:&lt;b&gt;" in page
