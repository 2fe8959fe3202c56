"""Which runs belong together, and their curves as one."""

import dataclasses

import numpy as np

from cnnlab.analysis.curves import (
    UNSET,
    curve,
    differing_fields,
    group_by_seed,
    group_labels,
    spread,
)
from cnnlab.config import Config, apply_overrides
from cnnlab.units import value_text


def configs():
    base = Config()
    return [
        base,
        dataclasses.replace(base, seed=1),
        apply_overrides(base, {"optimizer.learning_rate": 0.5, "model.options.dropout_rate": 0.1}),
        dataclasses.replace(base, seed=2, num_devices=2),
        apply_overrides(base, {"optimizer.learning_rate": 0.5, "model.options.dropout_rate": 0.1,
                               "seed": 3}),
        apply_overrides(base, {"model.name": "mlp"}),
    ]  # fmt: skip


def test_groups():
    """The number of devices is how a run is computed, and not what."""
    assert group_by_seed(configs()) == [[0, 1, 3], [2, 4], [5]]
    assert group_by_seed([]) == []


def test_differing_fields():
    fields = differing_fields(configs()[:3])
    assert fields == {
        "seed": [0, 1, 0],
        "optimizer.learning_rate": [0.1, 0.1, 0.5],
        "model.options.dropout_rate": [UNSET, UNSET, 0.1],
    }
    assert differing_fields(configs()[:1]) == {}


def test_labels():
    runs = configs()
    assert group_labels(runs, group_by_seed(runs)) == [
        "lenet learning_rate=0.1",
        "lenet dropout_rate=0.1 learning_rate=0.5",
        "mlp",
    ]
    assert group_labels(runs[:2], [[0, 1]]) == ["lenet on digits"]


def test_labels_of_configs_that_differ_in_much():
    """As many fields as tell them apart."""
    changes = {"batch_size": 32, "epochs": 3.0, "optimizer.learning_rate": 0.3}
    runs = [apply_overrides(Config(), {**changes, "optimizer.clip_norm": c}) for c in (1.0, 2.0)]
    runs.append(Config())
    assert group_labels(runs, [[0], [1], [2]]) == [
        "lenet clip_norm=1",
        "lenet clip_norm=2",
        "lenet clip_norm=none",
    ]
    other = apply_overrides(runs[0], {"data.name": "mnist"})
    assert group_labels([runs[0], other], [[0], [1]]) == ["lenet on digits", "lenet on mnist"]


def test_short():
    values = [0.18617459516, 1e-5, 3, True, None, [1.0, 0.12345], "sgd"]
    assert list(map(value_text, values)) == [
        "0.1862",
        "1e-05",
        "3",
        "true",
        "none",
        "(1, 0.1235)",
        "sgd",
    ]


def test_curve():
    rows = [
        {"epoch": 1.0, "split": "train", "loss": 2.0},
        {"epoch": 1.0, "split": "validation", "loss": 3.0},
        {"epoch": 2.0, "split": "train", "loss": None},
        {"epoch": 3.0, "split": "train", "loss": 1.0},
    ]
    x, y = curve(rows, "train", "loss")
    np.testing.assert_array_equal(x, [1.0, 3.0])
    np.testing.assert_array_equal(y, [2.0, 1.0])
    assert curve(rows, "test", "loss")[0].shape == (0,)


def test_spread_by_hand():
    first = np.array([1.0, 2.0]), np.array([4.0, 2.0])
    second = np.array([1.0, 2.0, 3.0]), np.array([6.0, 2.0, 1.0])
    found = spread([first, second])
    np.testing.assert_array_equal(found.x, [1, 2, 3])
    np.testing.assert_array_equal(found.mean, [5, 2, 1])
    np.testing.assert_allclose(found.std, [np.sqrt(2), 0, 0])
    np.testing.assert_array_equal(found.low, [4, 2, 1])
    np.testing.assert_array_equal(found.high, [6, 2, 1])
    np.testing.assert_array_equal(found.count, [2, 2, 1])
    assert spread([]).x.shape == (0,)
