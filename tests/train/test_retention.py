"""Which checkpoints are best and which are kept."""

import math

from cnnlab.train.checkpoints.policy import kept, ranked


def test_ranked_by_mode():
    metrics = {1: 0.5, 2: 0.9, 3: 0.7}
    assert ranked(metrics, "max") == [2, 3, 1]
    assert ranked(metrics, "min") == [1, 3, 2]


def test_of_equal_metrics_the_later_is_better():
    assert ranked({1: 0.5, 2: 0.5, 3: 0.1}, "max") == [2, 1, 3]
    assert ranked({1: 0.5, 2: 0.5, 3: 0.1}, "min") == [3, 2, 1]


def test_without_a_metric_none_is_best():
    assert ranked({1: None, 2: math.nan, 3: 0.1}, "max") == [3]
    assert ranked({1: None, 2: math.nan}, "min") == []


def test_kept_are_the_latest_and_the_best():
    metrics = {1: 0.9, 2: 0.1, 3: None, 4: 0.2, 5: None}
    assert kept(metrics, 2, "max") == {1, 4, 5}
    assert kept(metrics, 2, "min") == {2, 4, 5}
    assert kept(metrics, 1, "max") == {1, 5}
    assert kept({1: None, 2: None, 3: None}, 2, "max") == {2, 3}
    assert kept({1: 0.3}, 3, "max") == {1}
