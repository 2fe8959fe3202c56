"""Data sets made of NumPy arrays, and held-out splits that other examples do not change."""

import numpy as np
import pytest

from cnnlab.data import from_arrays
from cnnlab.data.batches import eval_batches, train_batches
from cnnlab.data.splits import hashed_split
from cnnlab.errors import UserError

COUNT = 60
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (COUNT, 4, 5, 1), np.uint8)
IMAGES[:, 0, 0, 0] = np.arange(COUNT)
LABELS = np.arange(COUNT) % 3


def numbers(source):
    return source.images[:, 0, 0, 0].tolist()


def test_classes():
    dataset = from_arrays(IMAGES, LABELS, ["a", "b", "c"], name="mine")
    assert dataset.info.name == "mine"
    assert dataset.info.class_names == ("a", "b", "c")
    assert dataset.info.image_shape == (4, 5, 1)
    found = sorted(number for source in dataset.splits.values() for number in numbers(source))
    assert found == list(range(COUNT))
    for split, source in dataset.splits.items():
        assert dataset.info.num_examples[split] == len(source) > 0
        np.testing.assert_array_equal(source.images, IMAGES[numbers(source)])
        np.testing.assert_array_equal(source.labels, LABELS[numbers(source)])
    train = dataset.splits["train"].images / 255
    assert dataset.info.mean == pytest.approx((train.mean(),))
    assert dataset.info.std == pytest.approx((train.std(),))


def test_gray_images_without_a_channel_axis_and_classes_without_names():
    info = from_arrays(IMAGES[..., 0], LABELS.tolist()).info
    assert info.image_shape == (4, 5, 1) and info.class_names == ("0", "1", "2")


def test_appended_examples_do_not_move_the_others():
    splits = from_arrays(IMAGES, LABELS).splits
    fewer = from_arrays(IMAGES[:45], LABELS[:45]).splits
    for split, source in fewer.items():
        assert set(numbers(source)) == {n for n in numbers(splits[split]) if n < 45}


def test_a_test_split_of_its_own():
    dataset = from_arrays(IMAGES, LABELS, test=(IMAGES[:7], LABELS[:7]), validation_fraction=0)
    assert dataset.info.num_examples == {"train": COUNT, "test": 7}


@pytest.mark.parametrize("dtype", [bool, np.int64, np.float32])
def test_multi_hot_labels_reach_batches(dtype):
    labels = (RNG.random((COUNT, 4)) < 0.5).astype(dtype)
    dataset = from_arrays(IMAGES, labels)
    train = dataset.splits["train"]
    assert dataset.info.class_names == ("0", "1", "2", "3")
    assert train.labels.dtype == np.int32
    np.testing.assert_array_equal(train.labels, labels[numbers(train)])
    (batch,) = train_batches(train, seed=0, batch_size=8, start_step=0, stop_step=1)
    np.testing.assert_array_equal(batch["label"], labels[batch["image"][:, 0, 0, 0]])
    test = dataset.splits["test"]
    batch = next(eval_batches(test, batch_size=len(test) + 2))
    np.testing.assert_array_equal(batch["label"][:-2], labels[numbers(test)])
    assert (batch["label"][-2:] == 0).all() and (batch["mask"][-2:] == 0).all()


def test_label_maps():
    labels = RNG.integers(0, 2, (COUNT, 4, 5))
    labels[:, 0, 0] = 255
    dataset = from_arrays(IMAGES, labels)
    assert dataset.info.num_classes == 2
    train = dataset.splits["train"]
    assert train.labels.dtype == np.uint8
    np.testing.assert_array_equal(train.labels, labels[numbers(train)])


@pytest.mark.parametrize(
    ("labels", "names", "sentence"),
    [
        (LABELS[:5], None, "60 images need as many labels, got"),
        (LABELS, ["a", "b"], "the train split has labels from 0 to 2, and 2 classes allow 0 to 1"),
        (LABELS + 0.5, None, "needs labels that are integers, got float64"),
        (np.full((COUNT, 2), 2), None, "multi-hot labels of 0 and 1 .* values from 2 to 2"),
        (np.zeros((COUNT, 2), int), ["a"], r"multi-hot labels of 0 and 1 \[60, 1\]"),
        (np.full((COUNT, 4, 5), 256), None, "label maps .* from 0 to 255, got 256 to 256"),
        (np.zeros((COUNT, 4, 4), int), None, "need label maps uint8"),
    ],
)
def test_labels_that_do_not_fit(labels, names, sentence):
    with pytest.raises(UserError, match=sentence):
        from_arrays(IMAGES, labels, names)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"test": 0}, "test=0 must be a share"),
        ({"test": 1.5}, "test=1.5 must be a share"),
        ({"validation_fraction": 1}, "validation_fraction=1 must be at least 0 and below 1"),
        ({"test": (IMAGES[:, 1:], LABELS)}, r"test images have the shape \(3, 5, 1\)"),
    ],
)
def test_splits_that_cannot_be(options, sentence):
    with pytest.raises(UserError, match=sentence):
        from_arrays(IMAGES, LABELS, **options)


def split(keys, labels=None, fraction=0.2, held_out="test"):
    return hashed_split(keys, fraction, labels, "abc", name="x", held_out=held_out)


def test_hashed_split_is_of_the_share_that_was_asked_for():
    labels = np.arange(10_000) % 3
    train, held = split(range(10_000), labels)
    assert sorted([*train, *held]) == list(range(10_000))
    # Four standard deviations of a binomial share.
    assert abs(len(held) / 10_000 - 0.2) < 4 * np.sqrt(0.2 * 0.8 / 10_000)
    for label in range(3):
        share = (labels[held] == label).sum() / (labels == label).sum()
        assert abs(share - 0.2) < 4 * np.sqrt(0.2 * 0.8 / 3_333)
    both = np.intersect1d(held, split(range(10_000), labels, held_out="validation")[1])
    assert abs(len(both) / 10_000 - 0.04) < 4 * np.sqrt(0.04 * 0.96 / 10_000)


def test_hashed_split_is_the_same_on_every_machine():
    names = [f"cat/{number}.png" for number in range(20)]
    assert split(names)[1].tolist() == split(names)[1].tolist()
    composed, decomposed = "caf\u00e9/1.png", "cafe\u0301/1.png"
    for number in range(20):
        rest = [f"{number}.png", f"x{number}.png"]
        np.testing.assert_array_equal(split([composed, *rest])[1], split([decomposed, *rest])[1])


def test_small_sets_keep_a_training_example_of_each_class_and_a_held_out_one():
    for start in range(50):
        labels = np.array([0, 0, 1, 1])
        train, held = split(range(start, start + 4), labels, fraction=0.9)
        assert set(labels[train]) == {0, 1} and len(held) > 0
        assert len(split(range(start, start + 4), labels, fraction=0.01)[1]) > 0


def test_hashed_split_of_a_single_example():
    with pytest.raises(UserError, match="Class 'b' of x has a single image left, and the test"):
        split(range(3), np.array([0, 0, 1]))
    with pytest.raises(UserError, match=r"^x has a single image left, and the validation split"):
        split(range(1), held_out="validation")
