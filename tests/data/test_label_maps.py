"""Label maps: sources, batches, splits and checks carry them as they carry single labels."""

import jax
import numpy as np
import pytest

from cnnlab.data import IGNORE, ArraySource, batch_indices, eval_batches, load, train_batches
from cnnlab.data.augment import AugmentConfig, make_augment, make_normalize
from cnnlab.data.cache import cached
from cnnlab.data.source import Subset
from cnnlab.data.sources import digits
from cnnlab.data.splits import random_split
from cnnlab.data.statistics import channel_statistics
from cnnlab.errors import UserError
from cnnlab.train.runtime.devices import make_parallel
from cnnlab.train.runtime.input import training_input

COUNT = 10


@pytest.fixture
def in_memory():
    """Ten images, each filled with its number; so is its map, but for one ignored pixel."""
    numbers = np.arange(COUNT, dtype=np.uint8)
    images = np.broadcast_to(numbers[:, None, None, None], (COUNT, 4, 5, 1)).copy()
    labels = images[..., 0].copy()
    labels[:, 0, 0] = IGNORE
    return ArraySource(images, labels)


@pytest.fixture(params=["in memory", "streamed"])
def source(request, in_memory):
    return in_memory if request.param == "in memory" else Subset(in_memory, np.arange(COUNT))


def assert_maps_of_images(batch):
    """The map of each image is the image's, in the type that batches carry."""
    assert batch["label"].dtype == np.uint8
    np.testing.assert_array_equal(batch["label"][..., 1:, :], batch["image"][..., 1:, :, 0])
    assert (batch["label"][..., 0, 0] == IGNORE).all()


def test_a_source_keeps_maps_as_they_are(in_memory):
    assert in_memory.labels.dtype == np.uint8
    assert in_memory[3]["label"].shape == (4, 5)
    assert in_memory.take(np.array([2, 7])).labels[1, 1, 1] == 7


@pytest.mark.parametrize(
    "labels", [np.zeros((2, 4, 4), np.uint8), np.zeros((2, 4, 5), np.int32)], ids=["size", "type"]
)
def test_maps_of_another_size_or_type_are_refused(labels):
    with pytest.raises(UserError, match=r"need label maps uint8 \(2, 4, 5\), got"):
        ArraySource(np.zeros((2, 4, 5, 3), np.uint8), labels)


def test_training_batches(source):
    for step, batch in enumerate(
        train_batches(source, seed=0, batch_size=4, start_step=0, stop_step=3)
    ):
        assert_maps_of_images(batch)
        expected = batch_indices(0, step, batch_size=4, num_examples=COUNT)
        np.testing.assert_array_equal(batch["label"][:, 1, 1], expected)


def test_padding_of_evaluation_is_ignored(source):
    *full, last = eval_batches(source, batch_size=4)
    for batch in full:
        assert_maps_of_images(batch)
    assert last["label"].dtype == np.uint8
    np.testing.assert_array_equal(last["mask"], [1, 1, 0, 0])
    np.testing.assert_array_equal(last["label"][:, 1, 1], [8, 9, IGNORE, IGNORE])


@pytest.mark.parametrize("steps_per_call", [1, 2])
def test_batches_reach_the_devices_as_bytes(source, steps_per_call):
    feed = training_input(
        source,
        make_parallel("jit", 2),
        seed=0,
        batch_size=4,
        start_step=0,
        stop_step=4,
        steps_per_call=steps_per_call,
        num_workers=0,
    )
    for count, batch in feed:
        assert count == steps_per_call
        lead = (2,) if steps_per_call == 2 else ()
        assert batch["label"].shape == (*lead, 4, 4, 5)
        assert_maps_of_images(jax.device_get(batch))


def test_augmentation_and_normalisation_make_them_integers_to_index_with(in_memory, rng):
    batch = {"image": in_memory.images, "label": in_memory.labels}
    augment = make_augment(AugmentConfig(), num_classes=10, mean=(0.5,), std=(0.5,))
    for result in (augment(rng, batch), make_normalize((0.5,), (0.5,))(batch)):
        assert result["label"].dtype == np.int32
        np.testing.assert_array_equal(result["label"], in_memory.labels)


def test_the_cache_keeps_maps(in_memory, tmp_path, monkeypatch):
    monkeypatch.setenv("CNNLAB_CACHE", str(tmp_path))
    cached("key", lambda: {"train": in_memory})
    again = cached("key", lambda: pytest.fail("decoded twice"))["train"]
    np.testing.assert_array_equal(again.labels, in_memory.labels)
    assert again.labels.dtype == np.uint8


def test_statistics_are_of_the_images(in_memory):
    values = np.arange(COUNT) / 255
    assert channel_statistics(in_memory) == (
        pytest.approx((values.mean(),)),
        pytest.approx((values.std(),)),
    )


def test_a_random_split_is_fixed_and_complete():
    first, second = random_split(20, 0.25, name="x", held_out="test")
    again = random_split(20, 0.25, name="x", held_out="test")[1]
    np.testing.assert_array_equal(second, again)
    assert len(second) == 5
    assert sorted([*first, *second]) == list(range(20))
    with pytest.raises(UserError, match="x has a single image left"):
        random_split(1, 0.25, name="x", held_out="test")


def use(monkeypatch, **sources):
    monkeypatch.setattr(digits, "load_splits", lambda image_size: sources)


def test_a_part_of_the_training_split_is_held_out_at_random(in_memory, monkeypatch):
    use(monkeypatch, train=in_memory)
    splits = load("digits", validation_fraction=0.25).splits
    assert {name: len(source) for name, source in splits.items()} == {
        "train": 6,
        "test": 2,
        "validation": 2,
    }
    everything = np.concatenate([source.labels[:, 1, 1] for source in splits.values()])
    assert sorted(everything) == list(range(COUNT))


def test_a_label_out_of_range_is_named(in_memory, monkeypatch):
    in_memory.labels[3, 2, 2] = 10
    use(monkeypatch, train=in_memory)
    with pytest.raises(UserError, match="labels from 0 to 10, and 10 classes allow 0 to 9"):
        load("digits")


def test_a_map_that_is_ignored_throughout_is_allowed(in_memory, monkeypatch):
    in_memory.labels[:] = IGNORE
    use(monkeypatch, train=in_memory)
    load("digits")


def test_images_cannot_be_counted_by_class(in_memory, monkeypatch):
    use(monkeypatch, train=in_memory)
    with pytest.raises(UserError, match="per_class=1: an image of digits has many classes"):
        load("digits", train_examples_per_class=1)
