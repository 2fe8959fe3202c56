"""The embedded digits, and what `load` makes of any data set."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from cnnlab.data import ArraySource, DatasetInfo, load
from cnnlab.data.cache import cached
from cnnlab.data.splits import stratified_split
from cnnlab.data.statistics import channel_statistics
from cnnlab.errors import UserError


@pytest.fixture(scope="module")
def dataset():
    return load("digits")


def test_shapes_types_and_sizes(dataset):
    sizes = {split: len(source) for split, source in dataset.splits.items()}
    assert sizes == {"train": 1295, "test": 359, "validation": 143}
    assert dataset.info.num_examples == sizes
    for source in dataset.splits.values():
        assert source.images.shape == (len(source), 28, 28, 1)
        assert source.images.dtype == np.uint8
        assert source.labels.dtype == np.int32
    assert dataset.info.image_shape == (28, 28, 1)
    assert dataset.info.class_names == tuple("0123456789")
    assert dataset.info.num_classes == 10
    assert dataset.info.name == "digits"


def test_splits_are_disjoint_and_complete(dataset):
    images = np.concatenate([source.images for source in dataset.splits.values()])
    originals = load_digits().images
    assert len(images) == len(originals)
    assert len(np.unique(images, axis=0)) == len(np.unique(originals, axis=0))


def test_splits_are_stratified(dataset):
    counts = np.bincount(load_digits().target)
    shares = {"test": 0.2, "validation": 0.8 * 0.1, "train": 0.8 * 0.9}
    for split, share in shares.items():
        found = np.bincount(dataset.splits[split].labels)
        assert np.abs(found - share * counts).max() <= 1


def test_test_split_is_fixed(dataset):
    # Numbers of different versions of cnnlab can be compared only while this stays.
    test = load("digits", image_size=8, validation_fraction=0).splits["test"]
    digest = hashlib.sha256(test.images.tobytes() + test.labels.astype("<i4").tobytes())
    assert digest.hexdigest()[:16] == "395aca67b69cea6f"
    np.testing.assert_array_equal(test.labels, dataset.splits["test"].labels)


def test_own_size_has_the_original_levels():
    splits = load("digits", image_size=8, validation_fraction=0).splits
    levels = np.unique(np.concatenate([source.images for source in splits.values()]))
    np.testing.assert_array_equal(levels, np.round(np.arange(17) * 255 / 16))


def test_image_size():
    dataset = load("digits", image_size=12)
    assert dataset.splits["train"].images.shape[1:] == dataset.info.image_shape == (12, 12, 1)


def test_no_validation():
    dataset = load("digits", validation_fraction=0)
    assert set(dataset.splits) == {"train", "test"}
    assert len(dataset.splits["train"]) == 1438


def test_statistics_are_those_of_the_training_split(dataset):
    pixels = dataset.splits["train"].images.astype(np.float64) / 255
    np.testing.assert_allclose(dataset.info.mean, [pixels.mean()], rtol=1e-9)
    np.testing.assert_allclose(dataset.info.std, [pixels.std()], rtol=1e-9)


def test_statistics_per_channel_of_more_than_one_chunk():
    images = np.random.default_rng(0).integers(0, 256, (5000, 2, 3, 3), np.uint8)
    images[..., 1] = 37  # constant: it is only centered
    images[..., 2] //= 4
    mean, std = channel_statistics(ArraySource(images, np.zeros(5000, np.int32)))
    pixels = images.reshape(-1, 3) / 255
    np.testing.assert_allclose(mean, pixels.mean(0), rtol=1e-9)
    np.testing.assert_allclose([std[0], std[2]], pixels.std(0)[[0, 2]], rtol=1e-9)
    assert std[1] == 1.0


def test_statistics_of_a_stream():
    class Stream:
        """Half black, half white, in order: a sample of the beginning would miss one."""

        def __len__(self):
            return 10_000

        def __getitem__(self, index):
            return {"image": np.full((1, 1, 1), 255 * (index >= 5000), np.uint8), "label": 0}

    mean, std = channel_statistics(Stream())
    np.testing.assert_allclose([*mean, *std], [0.5, 0.5], atol=0.05)


def test_info_survives_json(dataset):
    info = DatasetInfo.from_json(json.loads(json.dumps(dataset.info.to_json())))
    assert info == dataset.info


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((2, 3, 3, 1), np.int32), np.zeros(2, np.int32), "int32"),
        (np.zeros((2, 3, 3), np.uint8), np.zeros(2, np.int32), r"\(2, 3, 3\)"),
        (np.zeros((2, 3, 3, 1), np.uint8), np.zeros(3, np.int32), "as many labels"),
    ],
)
def test_arrays_that_are_no_source(images, labels, message):
    with pytest.raises(UserError, match=message):
        ArraySource(images, labels)


def test_stratified_split():
    labels = np.repeat([0, 1, 2], [10, 2, 30])
    first, second = stratified_split(labels, 0.1, "abc", name="x")
    np.testing.assert_array_equal(np.bincount(labels[second]), [1, 1, 3])
    np.testing.assert_array_equal(np.sort(np.concatenate([first, second])), np.arange(42))
    again = stratified_split(labels, 0.1, "abc", name="x")[1]
    np.testing.assert_array_equal(second, again)


def test_cache_decodes_once(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNLAB_CACHE", str(tmp_path))
    calls = []

    def decode():
        calls.append(1)
        images = np.arange(12, dtype=np.uint8).reshape(3, 2, 2, 1)
        return {"train": ArraySource(images, np.arange(3)), "test": ArraySource(images, np.ones(3))}

    first, second = cached("a", decode), cached("a", decode)
    assert len(calls) == 1
    assert first.keys() == second.keys()
    for split in first:
        np.testing.assert_array_equal(first[split].images, second[split].images)
        np.testing.assert_array_equal(first[split].labels, second[split].labels)
    cached("b", decode)
    assert len(calls) == 2


DAMAGE = {
    "missing": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-3]),
    "flipped": lambda path: path.write_bytes(path.read_bytes()[:-1] + b"\xff"),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", ["images-test.npy", "labels-train.npy", "MANIFEST.sha256"])
def test_a_damaged_cache_is_decoded_again(tmp_path, monkeypatch, damage, name):
    monkeypatch.setenv("CNNLAB_CACHE", str(tmp_path))
    images = np.arange(12, dtype=np.uint8).reshape(3, 2, 2, 1)
    splits = {s: ArraySource(images + n, np.arange(3)) for n, s in enumerate(("train", "test"))}
    cached("a", lambda: splits)
    (folder,) = (tmp_path / "data").iterdir()
    DAMAGE[damage](folder / name)
    for decode in (lambda: splits, lambda: pytest.fail("decoded twice")):
        found = cached("a", decode)
        assert found.keys() == splits.keys()
        for split in splits:
            np.testing.assert_array_equal(found[split].images, splits[split].images)
            np.testing.assert_array_equal(found[split].labels, splits[split].labels)
    assert [path.name for path in (tmp_path / "data").iterdir()] == [folder.name]


def test_remains_of_killed_processes_leave_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CNNLAB_CACHE", str(tmp_path))
    old, new = (tmp_path / "data" / f".unfinished-{name}" for name in ("old", "new"))
    for path in (old, new):
        path.mkdir(parents=True)
    os.utime(old, (0, 0))
    source = ArraySource(np.zeros((3, 2, 2, 1), np.uint8), np.arange(3))
    cached("a", lambda: {"train": source})
    assert new.exists() and not old.exists()


def test_data_is_there_where_it_cannot_be_cached(tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.touch()
    monkeypatch.setenv("CNNLAB_CACHE", str(blocked))
    source = ArraySource(np.zeros((3, 2, 2, 1), np.uint8), np.arange(3))
    assert len(cached("a", lambda: {"train": source})["train"]) == 3
