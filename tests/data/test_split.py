"""Training on few labels: a fixed, stratified part of the training split."""

import numpy as np
import pytest

from cnnlab.config import Config, DataConfig, validate
from cnnlab.data import load
from cnnlab.data.splits import stratified_sample
from cnnlab.errors import UserError

LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(3), [7, 5, 9]))


def test_sample_is_stratified_fixed_and_nested():
    small, again, large = (stratified_sample(LABELS, n, "abc", name="x") for n in (2, 2, 5))
    np.testing.assert_array_equal(small, again)
    assert set(small) <= set(large)
    assert np.bincount(LABELS[large]).tolist() == [5, 5, 5]
    assert (np.diff(large) > 0).all()


def test_class_with_too_few():
    sentence = "per_class=6: class 'b' of x has only 5 in its training split"
    with pytest.raises(UserError, match=sentence):
        stratified_sample(LABELS, 6, "abc", name="x")


def test_class_without_examples():
    with pytest.raises(UserError, match="class 'd' of x has only 0"):
        stratified_sample(LABELS, 1, "abcd", name="x")


def test_loading_few_leaves_the_other_splits_alone():
    whole, few = load("digits"), load("digits", train_examples_per_class=5)
    assert few.info.num_examples == {"train": 50, "test": 359, "validation": 143}
    assert np.bincount(few.splits["train"].labels).tolist() == [5] * 10
    for split in ("test", "validation"):
        np.testing.assert_array_equal(few.splits[split].images, whole.splits[split].images)


def test_none_is_refused():
    with pytest.raises(UserError, match="per_class=0 must be greater than 0"):
        validate(Config(data=DataConfig(train_examples_per_class=0)))
