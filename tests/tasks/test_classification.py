"""Losses and metrics by numbers worked out by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.tasks import Classification, per_class_accuracy

# Three examples over three classes: right, wrong but second, wrong and last.
LOGITS = jnp.log(jnp.array([[0.7, 0.2, 0.1], [0.5, 0.3, 0.2], [0.6, 0.3, 0.1]]))
LABELS = jnp.array([0, 1, 2])
BATCH = {"label": LABELS, "mask": jnp.ones(3)}


def test_loss_is_minus_log_probability():
    losses = Classification(3).loss(LOGITS, BATCH)
    np.testing.assert_allclose(losses, -np.log([0.7, 0.3, 0.1]), rtol=1e-5)


def test_label_smoothing_in_training_only():
    task = Classification(3, label_smoothing=0.3)
    # 0.7 of the target on the label, 0.1 on each of the three classes.
    expected = -(0.8 * np.log(0.7) + 0.1 * np.log(0.2) + 0.1 * np.log(0.1))
    assert task.loss(LOGITS, BATCH, train=True)[0] == pytest.approx(expected, rel=1e-5)
    assert task.loss(LOGITS, BATCH)[0] == pytest.approx(-np.log(0.7), rel=1e-5)


def test_mixed_target():
    target = jnp.array([[0.5, 0.5, 0.0]] * 3)
    losses = Classification(3).loss(LOGITS, {**BATCH, "target": target}, train=True)
    assert losses[0] == pytest.approx(-0.5 * (np.log(0.7) + np.log(0.2)), rel=1e-5)


def test_sums_and_numbers():
    task = Classification(3, top_k=2)
    sums = task.eval_sums(LOGITS, BATCH)
    np.testing.assert_array_equal(sums["confusion"], [[1, 0, 0], [1, 0, 0], [1, 0, 0]])
    numbers = task.finalize(sums)
    assert numbers["accuracy"] == pytest.approx(1 / 3)
    assert numbers["top5"] == pytest.approx(2 / 3)  # top_k is 2 here
    assert numbers["mean_class_accuracy"] == pytest.approx(1 / 3)
    assert numbers["loss"] == pytest.approx(-np.log([0.7, 0.3, 0.1]).mean(), rel=1e-5)


def test_padding_counts_for_nothing():
    task = Classification(3)
    batch = {"label": LABELS, "mask": jnp.array([1.0, 1.0, 0.0])}
    sums = task.eval_sums(LOGITS, batch)
    assert sums["count"] == 2
    assert sums["confusion"].sum() == 2
    assert sums["correct"] == 1
    assert sums["loss"] == pytest.approx(-np.log([0.7, 0.3]).sum(), rel=1e-5)


def test_ties_agree_with_argmax():
    task = Classification(4, top_k=1)
    logits = jnp.zeros((4, 4))
    sums = task.eval_sums(logits, {"label": jnp.arange(4), "mask": jnp.ones(4)})
    assert sums["correct_top_k"] == sums["correct"] == 1


def test_class_without_examples():
    accuracies = per_class_accuracy(np.array([[3, 1], [0, 0]]))
    assert accuracies[0] == 0.75
    assert np.isnan(accuracies[1])


def test_top5_of_five_classes_or_fewer_says_nothing():
    sums = {"count": 1, "loss": 1.0, "correct": 1, "correct_top_k": 1}
    for classes in (3, 5, 6):
        task = Classification(classes)
        numbers = task.finalize({**sums, "confusion": np.eye(classes, dtype=int)})
        assert ("top5" in numbers) == ("top5" in task.metrics) == (classes > 5)
