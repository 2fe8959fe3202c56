"""Scenes of digits: a pure function, learnable, with digits of each split's own."""

import numpy as np
import pytest

from cnnlab.data import IGNORE, load
from cnnlab.data.sources import digit_scenes, digits
from cnnlab.errors import UserError


def test_a_scene_is_a_function_of_its_number():
    image, label = digit_scenes.render("train", 3)
    again, same = digit_scenes.render("train", 3)
    assert image.shape == (64, 64, 1)
    assert image.dtype == label.dtype == np.uint8
    assert (image == again).all()
    assert (label == same).all()
    for other in (digit_scenes.render("train", 4), digit_scenes.render("train", 3, seed=1)):
        assert (other[0] != image).mean() > 0.5


def test_scenes_show_several_bright_digits_over_a_dark_ground():
    found = set()
    for index in range(30):
        image, label = digit_scenes.render("train", index)
        classes = set(np.unique(label)) - {0}
        found |= classes
        assert classes
        assert 0.03 < (label > 0).mean() < 0.5
        assert image[..., 0][label > 0].mean() > image[..., 0][label == 0].mean() + 50
    assert found == set(range(1, 11))


def test_another_size_looks_the_same_drawn_finer():
    agreement = []
    for index in range(10):
        _, coarse = digit_scenes.render("test", index, size=48)
        _, fine = digit_scenes.render("test", index, size=96)
        agreement.append((fine[::2, ::2] == coarse).mean())
    # Here and there a digit finds another place, by the rounding of what it may cover.
    assert np.median(agreement) > 0.93


def test_training_and_test_scenes_have_digits_of_their_own(monkeypatch):
    asked = []
    original = digits.load_splits

    class Recorder(dict):
        def __getitem__(self, split):
            asked.append(split)
            return super().__getitem__(split)

    monkeypatch.setattr(digits, "load_splits", lambda **size: Recorder(original(**size)))
    digit_scenes._glyphs.cache_clear()
    digit_scenes.render("test", 0)
    assert asked == ["test"]
    digit_scenes._glyphs.cache_clear()


def test_loaded_for_segmentation():
    dataset = load("digit_scenes", task="segmentation", image_size=16)
    assert dataset.info.class_names == ("background", *"0123456789")
    assert dataset.info.image_shape == (16, 16, 1)
    assert dataset.info.num_examples == {"train": 1800, "validation": 200, "test": 500}
    labels = dataset.splits["test"].labels
    assert labels.shape == (500, 16, 16)
    assert labels.max() < IGNORE


def test_the_cache_knows_how_scenes_are_drawn(monkeypatch):
    keys = []
    monkeypatch.setattr(digit_scenes, "cached", lambda key, decode: keys.append(key) or {})
    digit_scenes.load_splits(16)
    monkeypatch.setattr(digit_scenes, "_HEIGHTS", (0.3, 0.3))
    digit_scenes.load_splits(16)
    assert keys[0] != keys[1]


def test_scenes_that_are_too_large_are_drawn_when_asked_for():
    splits = digit_scenes.load_splits(512)
    assert {split: len(source) for split, source in splits.items()} == digit_scenes.NUM_SCENES
    example = splits["test"][7]
    np.testing.assert_array_equal(example["label"], digit_scenes.render("test", 7, size=512)[1])


def test_most_of_each_digit_can_be_seen():
    for index in range(20):
        _, label = digit_scenes.render("train", index)
        found = [np.count_nonzero(label == digit) for digit in np.unique(label)]
        assert min(found) > 40


@pytest.mark.parametrize(
    ("name", "task", "words"),
    [
        ("digits", "segmentation", "has no masks.*take digit_scenes, folder:PATH"),
        ("mnist", "segmentation", "has no masks.*oxford_iiit_pet"),
        ("digit_scenes", "classification", "set task=segmentation"),
    ],
)
def test_a_set_for_the_other_task(name, task, words):
    with pytest.raises(UserError, match=words):
        load(name, task=task)
