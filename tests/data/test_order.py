"""Which examples a batch holds."""

import time

import numpy as np
import pytest

from cnnlab.data import ArraySource, batch_indices
from cnnlab.data.order import (
    _class_order,
    _recent_order,
    _round_order,
    balanced_indices,
    class_members,
    index_function,
)
from cnnlab.errors import UserError


def run_of(steps, *, seed=0, batch_size=12, num_examples=50):
    return np.concatenate(
        [
            batch_indices(seed, step, batch_size=batch_size, num_examples=num_examples)
            for step in range(steps)
        ]
    )


def test_is_a_pure_function_of_seed_and_step():
    forward = [batch_indices(3, step, batch_size=12, num_examples=50) for step in range(20)]
    _recent_order.cache_clear()
    for step in (19, 0, 7, 7, 13):
        again = batch_indices(3, step, batch_size=12, num_examples=50)
        np.testing.assert_array_equal(again, forward[step])
        assert again.dtype == np.int64


def test_order_stays_what_it_was():
    # Runs of older versions resume only while these numbers stay.
    found = batch_indices(0, 4, batch_size=4, num_examples=10)
    np.testing.assert_array_equal(found, [9, 3, 2, 0])


@pytest.mark.parametrize("process_count", [1, 2, 4])
def test_shares_of_the_processes_make_up_the_batch(process_count):
    for step in range(9):  # of 50 examples: the batches of steps 4 and 8 straddle two epochs
        whole = batch_indices(1, step, batch_size=12, num_examples=50)
        shares = [
            batch_indices(
                1,
                step,
                batch_size=12,
                num_examples=50,
                process_index=index,
                process_count=process_count,
            )
            for index in range(process_count)
        ]
        assert {len(share) for share in shares} == {12 // process_count}
        np.testing.assert_array_equal(np.concatenate(shares), whole)


def test_each_epoch_has_every_example_once():
    order = run_of(25)  # 300 positions: six epochs
    for epoch in order.reshape(6, 50):
        np.testing.assert_array_equal(np.sort(epoch), np.arange(50))


def test_batch_larger_than_the_data_set():
    order = run_of(3, batch_size=20, num_examples=6)
    for epoch in order.reshape(10, 6):
        np.testing.assert_array_equal(np.sort(epoch), np.arange(6))


def test_epochs_and_seeds_have_orders_of_their_own():
    first, second = run_of(25, seed=0).reshape(6, 50)[:2]
    other = run_of(25, seed=1)[:50]
    identity = np.arange(50)
    orders = {tuple(order) for order in (first, second, other, identity)}
    assert len(orders) == 4


def test_seed_and_epoch_do_not_mix():
    """Seed 1 in epoch 0 is not seed 0 in epoch 1, as it would be if the two were added."""
    assert not np.array_equal(run_of(25, seed=0)[50:100], run_of(25, seed=1)[:50])


def test_uneven_share_is_refused():
    with pytest.raises(ValueError, match="batch of 10 cannot be shared over 4 processes"):
        batch_indices(0, 0, batch_size=10, num_examples=50, process_count=4)


def test_a_call_takes_microseconds():
    def call(step):
        batch_indices(0, step, batch_size=128, num_examples=60_000)

    call(0)  # draws the epoch's order
    times = []
    for step in range(1, 200):
        start = time.perf_counter()
        call(step)
        times.append(time.perf_counter() - start)
    assert np.median(times) < 200e-6


LABELS = np.repeat([0, 2, 3], [40, 3, 7])
MEMBERS = class_members(ArraySource(np.zeros((50, 1, 1, 1), np.uint8), LABELS))


def balanced_run(steps, *, seed=0, batch_size=12, members=MEMBERS):
    return np.concatenate(
        [
            balanced_indices(seed, step, batch_size=batch_size, members=members)
            for step in range(steps)
        ]
    )


def test_balanced_batches_have_all_classes_equally_often():
    indices = balanced_run(20)
    counts = np.bincount(LABELS[indices], minlength=4)
    np.testing.assert_array_equal(counts, [80, 0, 80, 80])
    for step in range(5):  # 12 is a multiple of three classes: so is every batch
        batch = LABELS[indices[12 * step : 12 * step + 12]]
        np.testing.assert_array_equal(np.unique(batch, return_counts=True)[1], [4, 4, 4])
    # The order of the classes is not always the same.
    assert len({tuple(LABELS[indices[i : i + 3]]) for i in range(0, 60, 3)}) > 3


def test_balanced_batches_go_through_every_class_before_they_repeat():
    indices = balanced_run(20)
    for label, size in ((0, 40), (2, 3), (3, 7)):
        own = indices[LABELS[indices] == label]
        passes = [own[i : i + size] for i in range(0, len(own) - size + 1, size)]
        for one in passes:
            np.testing.assert_array_equal(np.sort(one), np.flatnonzero(label == LABELS))
        if size > 3:
            assert (passes[0] != passes[1]).any()


def test_balanced_batches_are_a_pure_function_of_seed_and_step():
    forward = [balanced_indices(3, step, batch_size=10, members=MEMBERS) for step in range(12)]
    _round_order.cache_clear()
    _class_order.cache_clear()
    for step in (11, 0, 7, 7):
        again = balanced_indices(3, step, batch_size=10, members=MEMBERS)
        np.testing.assert_array_equal(again, forward[step])
    assert (balanced_run(5, seed=1) != balanced_run(5, seed=2)).any()
    # Batches are cut from one sequence, whatever their size.
    np.testing.assert_array_equal(balanced_run(6, batch_size=10), balanced_run(10, batch_size=6))


@pytest.mark.parametrize("process_count", [2, 5])
def test_shares_of_balanced_batches_make_up_the_batch(process_count):
    for step in range(3):
        whole = balanced_indices(1, step, batch_size=10, members=MEMBERS)
        shares = [
            balanced_indices(
                1,
                step,
                batch_size=10,
                members=MEMBERS,
                process_index=index,
                process_count=process_count,
            )
            for index in range(process_count)
        ]
        np.testing.assert_array_equal(np.concatenate(shares), whole)


def test_balanced_order_stays_what_it_was():
    # Runs of older versions resume only while these numbers stay.
    found = balanced_indices(0, 4, batch_size=6, members=MEMBERS)
    np.testing.assert_array_equal(found, [47, 41, 22, 45, 6, 42])


def test_labels_that_cannot_be_balanced_are_one_sentence():
    multi_hot = ArraySource(np.zeros((4, 1, 1, 1), np.uint8), np.eye(4, dtype=np.int32))
    with pytest.raises(UserError, match=r"data.sampling=balanced: .* no single class"):
        index_function(multi_hot, "balanced")
