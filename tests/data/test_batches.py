"""Batches for training and evaluation."""

import numpy as np
import pytest
from PIL import Image

from cnnlab.data import ArraySource, batch_indices, eval_batches, train_batches
from cnnlab.data.sources.folder import FolderSource

COUNT = 10


@pytest.fixture(scope="module")
def in_memory():
    """Ten images; each is filled with the number of its example, and has it as its label."""
    numbers = np.arange(COUNT)
    images = np.broadcast_to(numbers[:, None, None, None], (COUNT, 4, 5, 1)).astype(np.uint8)
    return ArraySource(images, numbers)


@pytest.fixture(scope="module")
def lazy(in_memory, tmp_path_factory):
    """The same as files, decoded when asked for."""
    folder = tmp_path_factory.mktemp("images")
    paths = [folder / f"{number}.png" for number in range(COUNT)]
    for path, image in zip(paths, in_memory.images, strict=True):
        Image.fromarray(image[..., 0]).save(path)
    return FolderSource(paths, in_memory.labels, (4, 5, 1))


@pytest.fixture(params=["in_memory", "lazy"])
def source(request):
    return request.getfixturevalue(request.param)


def train(source, start_step=0, stop_step=7, **options):
    return list(
        train_batches(
            source,
            **{"seed": 0, "batch_size": 4, **options},
            start_step=start_step,
            stop_step=stop_step,
        )
    )


def assert_batches_equal(left, right):
    assert len(left) == len(right)
    for one, other in zip(left, right, strict=True):
        assert one.keys() == other.keys() == {"image", "label", "mask"}
        for key in one:
            assert one[key].dtype == other[key].dtype
            np.testing.assert_array_equal(one[key], other[key])


def test_batches_hold_the_examples_of_their_step(source):
    for step, batch in enumerate(train(source)):
        expected = batch_indices(0, step, batch_size=4, num_examples=COUNT)
        np.testing.assert_array_equal(batch["label"], expected)
        np.testing.assert_array_equal(batch["image"][:, 3, 4, 0], expected)
        np.testing.assert_array_equal(batch["mask"], np.ones(4))
        assert batch["image"].shape == (4, 4, 5, 1)
        dtypes = [batch[key].dtype for key in ("image", "label", "mask")]
        assert dtypes == [np.uint8, np.int32, np.float32]


@pytest.mark.parametrize("start_step", [1, 3, 6, 7])
def test_start_step_skips_batches(source, start_step):
    assert_batches_equal(train(source, start_step), train(source)[start_step:])


def test_processes_share_batches(source):
    whole = train(source)
    shares = [train(source, process_index=index, process_count=2) for index in range(2)]
    for step, batch in enumerate(whole):
        for key in batch:
            both = np.concatenate([share[step][key] for share in shares])
            np.testing.assert_array_equal(both, batch[key])


@pytest.mark.parametrize("num_workers", [1, 2])
def test_worker_processes_give_the_same_batches(lazy, num_workers):
    found = train(lazy, start_step=2, num_workers=num_workers)
    assert_batches_equal(found, train(lazy)[2:])


def test_nothing_before_the_start_is_read(in_memory):
    class Counting:
        labels = in_memory.labels
        read = ()

        def __len__(self):
            return COUNT

        def __getitem__(self, index):
            self.read += (index,)
            return in_memory[index]

    counting = Counting()
    train(counting, start_step=6)
    assert sorted(counting.read) == sorted(batch_indices(0, 6, batch_size=4, num_examples=COUNT))


def test_error_while_decoding_reaches_the_caller(in_memory):
    class Broken:
        def __len__(self):
            return COUNT

        def __getitem__(self, index):
            raise ValueError("'a.jpg' cannot be read")

    with pytest.raises(ValueError, match=r"'a\.jpg' cannot be read"):
        train(Broken())


@pytest.mark.parametrize("process_count", [1, 2])
@pytest.mark.parametrize("batch_size", [2, 4, 6, 16])
def test_eval_yields_every_example_once(source, batch_size, process_count):
    shares = [
        list(
            eval_batches(
                source,
                batch_size=batch_size,
                process_index=index,
                process_count=process_count,
            )
        )
        for index in range(process_count)
    ]
    # Each process has as many batches as the others: they step together.
    assert {len(share) for share in shares} == {-(-COUNT // batch_size)}
    batches = [batch for share in shares for batch in share]
    shape = (batch_size // process_count, 4, 5, 1)
    assert {batch["image"].shape for batch in batches} == {shape}
    images, labels, masks = (
        np.concatenate([batch[key] for batch in batches]) for key in ("image", "label", "mask")
    )
    assert set(np.unique(masks)) <= {0.0, 1.0}
    assert sorted(labels[masks == 1]) == list(range(COUNT))
    np.testing.assert_array_equal(images[masks == 1][:, 0, 0, 0], labels[masks == 1])
    assert not images[masks == 0].any()
    assert [masks.dtype, labels.dtype, images.dtype] == [np.float32, np.int32, np.uint8]


def test_eval_keeps_the_order(source):
    labels = np.concatenate([batch["label"] for batch in eval_batches(source, batch_size=5)])
    np.testing.assert_array_equal(labels, np.arange(COUNT))


def test_eval_batch_that_cannot_be_shared_is_refused(in_memory):
    with pytest.raises(ValueError, match="batch of 5 cannot be shared over 2 processes"):
        next(eval_batches(in_memory, batch_size=5, process_count=2))


def test_balanced_batches_of_a_resumed_run_are_those_of_the_unbroken_one():
    labels = np.repeat([0, 1], [30, 4]).astype(np.int32)
    images = np.arange(34, dtype=np.uint8)[:, None, None, None]
    source = ArraySource(images, labels)

    def run(start, **options):
        return list(
            train_batches(
                source,
                seed=2,
                batch_size=6,
                start_step=start,
                stop_step=9,
                sampling="balanced",
                **options,
            )
        )

    whole = run(0)
    for batch, again in zip(whole[5:], run(5), strict=True):
        np.testing.assert_array_equal(batch["image"], again["image"])
        np.testing.assert_array_equal(np.bincount(batch["label"]), [3, 3])
    shares = zip(*(run(0, process_index=i, process_count=3) for i in range(3)), strict=True)
    for batch, parts in zip(whole, shares, strict=True):
        joined = np.concatenate([part["image"] for part in parts])
        np.testing.assert_array_equal(joined, batch["image"])
