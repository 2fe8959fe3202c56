"""The table of sizes and costs that `launch.py list models` shows."""

import json

import pytest

from cnnlab.errors import UserError
from cnnlab.models import create_model, list_models
from cnnlab.models.catalog import MODELS
from cnnlab.models.costs import usual_cost
from tests.marks import exhaustive
from tests.models.make_costs import FORMS, TABLE, TIMM_NAMES, row, timm_names

_SAMPLE = ("mlp", "lenet", "alexnet", "resnet18", "mobilenet_v2", "unet", "unet3d")


def test_every_model_of_ours_is_in_the_table():
    """`python -m tests.models.make_costs` adds those that are missing."""
    ours = {name for name in list_models() if MODELS.entry(name).plugin is None}
    assert set(json.loads(TABLE.read_text())) == ours


def test_names_of_timm_are_those_of_its_reference_models():
    table = json.loads(json.dumps(timm_names()))
    assert json.loads(TIMM_NAMES.read_text()) == table, "run: python -m tests.models.make_costs"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("vit_tiny_patch16_224", "is called 'vit_ti_16' here.$"),
        ("tu-regnety_016", "is called 'regnet_y_1_6gf' here.$"),
        (
            "timm/tf_efficientnet_b0.in1k",
            "called 'efficientnet_b0' here, with the options padding=SAME and norm_epsilon=0.001.$",
        ),
        ("regnetx_004", r"with the options widths=\(32, 64, 160, 384\).$"),
        ("vit_tiny_patch16_2244", "Did you mean"),
    ],
)
def test_a_name_of_timm_is_answered_by_ours(name, sentence):
    with pytest.raises(UserError, match=sentence):
        create_model(name, num_classes=2)


@pytest.mark.parametrize(
    "name",
    [n if n in _SAMPLE else exhaustive(n) for n in FORMS],
)
def test_row_is_what_the_network_is(name):
    assert json.loads(TABLE.read_text())[name] == row(name)


@pytest.mark.parametrize(
    ("name", "params", "macs"),
    [("resnet18", 11_689_512, 1.814e9), ("resnet50", 25_557_032, 4.089e9),
     ("vgg16", 138_357_544, 15.47e9), ("mobilenet_v2", 3_504_872, 0.301e9)],
)  # fmt: skip
def test_costs_are_those_that_torchvision_states(name, params, macs):
    cost = usual_cost(name)
    assert cost.params == params
    assert cost.macs == pytest.approx(macs, rel=0.01)
    assert cost.weights
