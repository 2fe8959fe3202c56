import numpy as np
import pytest

from cnnlab.data import IGNORE, digit_scenes, digits, load
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


def test_another_size_is_the_same_scene_drawn_finer():
    _, coarse = digit_scenes.render("test", 0, size=48)
    _, fine = digit_scenes.render("test", 0, size=96)
    assert (fine[::2, ::2] == coarse).mean() > 0.93


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


@pytest.mark.parametrize(
    ("name", "task"), [("digits", "segmentation"), ("digit_scenes", "classification")]
)
def test_a_set_for_the_other_task(name, task):
    with pytest.raises(UserError, match="digit_scenes is for segmentation"):
        load(name, task=task)
