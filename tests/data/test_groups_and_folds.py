"""All files of a group in one split, and folds for cross-validation."""

from collections import Counter

import numpy as np
import pytest

from cnnlab.config import Config, apply_overrides, validate
from cnnlab.data import load
from cnnlab.data.splits import fixed_fold, group_names, hashed_split
from cnnlab.errors import UserError
from tests.data.test_folder import write

CLASSES = ("normal", "tumor")


@pytest.fixture(scope="module")
def patients(tmp_path_factory):
    """Four images of each of 24 patients, who have images of both classes."""
    path = tmp_path_factory.mktemp("patients")
    for patient in range(24):
        for number in range(4):
            name = f"p{patient:02}/p{patient:02}_{number}.png"
            write(path / CLASSES[number % 2] / name, np.full((4, 4), 4 * patient + number))
    return path


def patients_of(dataset):
    return {s: {path.split("/")[1] for path in paths} for s, paths in dataset.paths.items()}


@pytest.mark.parametrize("group_by", ["2", "-1", r"p\d\d", r"/(p\d+)/"])
def test_a_patient_is_in_one_split(patients, group_by):
    dataset = load(f"folder:{patients}", group_by=group_by)
    found = patients_of(dataset)
    assert sum(map(len, found.values())) == len(set.union(*found.values())) == 24
    assert {split: 4 * len(names) for split, names in found.items()} == dataset.info.num_examples
    assert found["test"] == patients_of(load(f"folder:{patients}", group_by="2"))["test"]
    assert dataset.info.split_rules["test"].endswith(f"by a hash of each group ({group_by})")
    counts = ", ".join(f"{len(names)} {split}" for split, names in found.items())
    assert dataset.notes == (f"groups by data.group_by={group_by}: {counts}.",)


def test_without_groups_patients_are_torn_apart(patients):
    found = patients_of(load(f"folder:{patients}"))
    assert found["train"] & found["test"]


def test_folds_are_disjoint_and_together_everything(patients):
    """The test split is the same for all, and a patient is in one fold."""
    options = {"folds": 3, "group_by": "2"}
    folds = [load(f"folder:{patients}", fold=fold, **options) for fold in range(3)]
    held_out = [patients_of(dataset)["validation"] for dataset in folds]
    assert all(held_out)
    assert len({dataset.paths["test"][0] for dataset in folds}) == 1
    rest = set.union(*held_out)
    assert sum(map(len, held_out)) == len(rest) == 24 - len(patients_of(folds[0])["test"])
    for dataset, names in zip(folds, held_out, strict=True):
        assert patients_of(dataset)["train"] == rest - names
    rule = "fold 1 of 3 of the training split, by a hash of each group (2)"
    assert folds[1].info.split_rules["validation"] == rule


def test_an_image_stays_in_its_fold_when_others_are_added():
    keys = [f"{number}.png" for number in range(60)]
    for fold in range(5):
        options = {"name": "x", "held_out": "validation", "fold": (fold, 5)}
        _, few = hashed_split(keys[::2], 0.1, None, "", **options)
        _, all_of_them = hashed_split(keys, 0.1, None, "", **options)
        assert {keys[::2][i] for i in few} <= {keys[i] for i in all_of_them}


def test_folds_of_an_embedded_set_have_like_shares_of_each_class():
    labels = np.arange(103) % 4
    folds = [fixed_fold(labels, (fold, 5), "abcd", name="x")[1] for fold in range(5)]
    assert np.unique(np.concatenate(folds)).tolist() == list(range(103))
    for held_out in folds:
        assert len(held_out) in (20, 21)
        assert set(np.bincount(labels[held_out])) <= {4, 5, 6}
    dataset = load("digits", folds=5, fold=4)
    assert dataset.info.split_rules["validation"] == (
        "fold 4 of 5 of the training split, by a fixed draw"
    )
    assert len(dataset.splits["validation"]) == 287


def test_a_class_of_one_group_stays_in_training():
    groups = [*("ab" * 10), *("c" * 5)]
    labels = np.array([0] * 20 + [1] * 5)
    for fold in range(2):
        train, _ = hashed_split(
            groups, 0.5, labels, "xy", name="x", held_out="test", fold=(fold, 2)
        )
        assert Counter(labels[train].tolist())[1] == 5
    with pytest.raises(UserError, match="a single group, 'c'"):
        hashed_split(["c"] * 5, 0.5, None, "", name="x", held_out="test")
    with pytest.raises(UserError, match=r"too few images: fold \d of 40 would be empty"):
        for fold in range(40):
            hashed_split([*range(20)], 0.5, None, "", name="x", held_out="v", fold=(fold, 40))


@pytest.mark.parametrize(
    ("group_by", "sentence"),
    [
        ("3", "'normal/p00/p00_0.png' of folder:.* has no folder at that level"),
        ("0", "has no folder at that level"),
        ("patient", "'normal/p00/p00_0.png' of folder:.* does not match it"),
        ("1", "too few groups: the test split would be empty"),  # groups are the classes
        ("p", "a single group, 'p'"),
    ],
)
def test_groups_that_cannot_be(patients, group_by, sentence):
    with pytest.raises(UserError, match=sentence):
        load(f"folder:{patients}", group_by=group_by)


def test_a_group_in_two_splits_of_the_users_own(tmp_path):
    for split in ("train", "test"):
        write(tmp_path / split / "a" / "p1" / "0.png", np.zeros((4, 4)))
        write(tmp_path / split / "a" / f"p_{split}" / "1.png", np.zeros((4, 4)))
    with pytest.raises(UserError, match=r"'p1' of folder:.* has images in both test and train"):
        load(f"folder:{tmp_path}", group_by="-1", validation_fraction=0)
    with pytest.raises(UserError, match="digits has none"):
        load("digits", group_by="1")
    assert group_names(["a/b/c.png"], "-2", name="x") == ["a"]


def test_folds_need_a_training_split_to_cut(tmp_path):
    for split in ("train", "validation"):
        for number in range(4):
            write(tmp_path / split / "a" / f"{number}.png", np.zeros((4, 4)))
    with pytest.raises(UserError, match="has a validation split of its own"):
        load(f"folder:{tmp_path}", folds=2)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"data.folds": 1}, "data.folds=1 must be at least 2"),
        ({"data.fold": 1}, "data.fold=1 needs the number of folds"),
        ({"data.folds": 5, "data.fold": 5}, "5 folds are numbered from 0 to 4"),
        ({"data.fold": -1}, "data.fold=-1 must not be negative"),
        ({"data.group_by": "("}, "neither a folder level"),
    ],
)
def test_fields_that_cannot_be(fields, sentence):
    with pytest.raises(UserError, match=sentence):
        validate(apply_overrides(Config(), fields))
