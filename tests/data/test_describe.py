"""The lines that say how a data set was understood, and what looks wrong in it."""

import numpy as np

from cnnlab.data import ArraySource, Dataset, DatasetInfo, from_arrays, load
from cnnlab.data.describe import describe
from tests.data.test_arrays import COUNT, IMAGES, LABELS, RNG


def test_digits():
    (line,) = describe(load("digits"))
    assert line.startswith(
        "data: digits: 1,295 train, 359 test, 143 validation images of 28x28x1, uint8 from 0 to "
        "255; 10 classes: 0 9.88 %, 1 10.1 %, "
    )
    assert line.endswith(" and 2 more of training images.")


def test_label_maps_have_shares_of_pixels():
    labels = np.zeros((COUNT, 4, 5), int)
    labels[:, 0] = 1
    labels[:, 1, 0] = 255
    (line,) = describe(from_arrays(IMAGES, labels, ["background", "cell"]))
    assert line.endswith("; 2 classes: background 70 %, cell 25 % of training pixels, 5 % ignored.")


def test_few_distinct_values():
    lines = describe(from_arrays(IMAGES % 3 + 1, LABELS))
    assert "warning: the training images have only 3 distinct pixel values (from 1 to 3)." in lines


def test_one_class():
    _, warning = describe(from_arrays(IMAGES, np.zeros(COUNT, int), ["a"]))
    assert warning == "warning: there is one class only ('a'): nothing to tell apart."


def test_classes_without_examples():
    test = IMAGES[:6], np.zeros(6, int)
    lines = describe(from_arrays(IMAGES, LABELS, ["a", "b", "c"], test=test))
    assert "warning: the test split has no example of 'b', 'c'." in lines
    labels = RNG.integers(0, 2, (COUNT, 3))
    labels[:, 1] = 0
    lines = describe(from_arrays(IMAGES, labels, ["a", "b", "c"]))
    assert "warning: the train split has no example of 'b'." in lines


def test_what_is_not_known_is_not_said():
    info = DatasetInfo("mine", ("a", "b"), (4, 5, 1), {"train": 60}, (0.5,), (0.5,))
    lines = describe(Dataset(info, {"train": ArraySource(IMAGES, LABELS)}, notes=("A note.",)))
    assert lines == ["data: mine: 60 train images of 4x5x1; 2 classes: a, b.", "A note."]


def test_description_is_kept_as_json():
    info = load("digits").info
    assert DatasetInfo.from_json(info.to_json()) == info
    assert sum(info.class_counts["train"]) == 1295
    assert info.observed["levels"] > 16
