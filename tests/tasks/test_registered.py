"""Losses and metrics that a user registers, in both tasks."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

import cnnlab
from cnnlab.config import Config, apply_overrides
from cnnlab.errors import UserError
from cnnlab.tasks import Classification, Segmentation
from cnnlab.tasks.build import higher_is_better, make_task

LOGITS = jnp.array([[2.0, 0.0, -1.0], [0.0, 1.0, 0.5], [0.0, 0.0, 3.0]])
BATCH = {"label": jnp.array([0, 2, 1]), "mask": jnp.array([1.0, 1.0, 0.0])}


@cnnlab.register_loss("registered_squares")
def squares(logits, targets, *, scale=1.0):
    return scale * ((logits - targets) ** 2).sum(-1)


@cnnlab.register_loss("registered_squares", task="segmentation")
def pixel_squares(logits, labels):
    one_hot = jnp.eye(logits.shape[-1])[labels]
    return ((logits - one_hot) ** 2).mean(axis=(1, 2, 3))


@cnnlab.register_metric("registered_first_class", mode="min")
@dataclasses.dataclass(frozen=True)
class FirstClass:
    """The share of examples that are taken for the first class."""

    num_classes: int

    def sums(self, logits, batch):
        taken = (logits.argmax(-1) == 0) * batch["mask"]
        return {"taken": taken.sum(), "count": batch["mask"].sum()}

    def finalize(self, sums):
        return sums["taken"] / sums["count"] * self.num_classes


def test_losses_add_up_by_their_weights():
    task = Classification(
        3,
        losses={"cross_entropy": 1.0, "registered_squares": 0.5},
        options={"registered_squares": {"scale": 2.0}},
    )
    squares = ((LOGITS - jnp.eye(3)[BATCH["label"]]) ** 2).sum(-1)
    expected = Classification(3).loss(LOGITS, BATCH) + squares
    np.testing.assert_allclose(task.loss(LOGITS, BATCH), expected, rtol=1e-6)


def test_a_registered_loss_gets_smoothed_and_mixed_targets():
    task = Classification(3, label_smoothing=0.3, losses={"registered_squares": 1.0})
    smoothed = 0.7 * jnp.eye(3)[BATCH["label"]] + 0.1
    expected = ((LOGITS - smoothed) ** 2).sum(-1)
    np.testing.assert_allclose(task.loss(LOGITS, BATCH, train=True), expected, rtol=1e-6)
    mixed = {**BATCH, "target": jnp.full((3, 3), 1 / 3)}
    plain = Classification(3, losses={"registered_squares": 1.0})
    expected = ((LOGITS - 1 / 3) ** 2).sum(-1)
    np.testing.assert_allclose(plain.loss(LOGITS, mixed), expected, rtol=1e-6)


def test_a_registered_loss_of_pixels():
    labels = jnp.zeros((1, 2, 2), jnp.int32)
    task = Segmentation(2, losses={"registered_squares": 1.0}, class_weights=(1.0, 2.0))
    batch = {"label": labels, "mask": jnp.ones(1)}
    np.testing.assert_allclose(task.loss(jnp.zeros((1, 2, 2, 2)), batch), [0.5])


def test_a_registered_metric_is_evaluated_and_may_pick_the_checkpoint():
    config = apply_overrides(Config(), {"evaluation.metric": "registered_first_class"})
    task = make_task(config, 3)
    assert task.metrics["registered_first_class"] == "min"
    assert not higher_is_better(config)
    sums = task.eval_sums(LOGITS, BATCH)
    numbers = task.finalize(sums)
    assert numbers["registered_first_class"] == pytest.approx(3 * 1 / 2)
    assert numbers["accuracy"] == pytest.approx(1 / 2)
    both = {name: value + sums[name] for name, value in sums.items()}
    assert task.finalize(both) == pytest.approx(numbers)
    assert "registered_first_class" not in task.finalize(
        task.train_sums(LOGITS, jnp.ones(3), BATCH)
    )


def test_further_metrics_are_reported():
    config = apply_overrides(Config(), {"evaluation.metrics": ("registered_first_class",)})
    assert "registered_first_class" in make_task(config, 3).finalize(
        make_task(config, 3).eval_sums(LOGITS, BATCH)
    )


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ({"task": "clasification"}, "Unknown task 'clasification'. Did you mean 'classification'"),
        ({"loss.terms.dice": 1.0}, "The loss 'dice' is for segmentation, not classification."),
        ({"loss.terms.registered_square": 1.0}, "Did you mean 'registered_squares'"),
        (
            {"loss.terms.registered_squares": 1.0, "loss.options.registered_squares.scal": 1.0},
            "has no option 'scal'. Did you mean 'scale'",
        ),
        ({"evaluation.metrics": ("acuracy",)}, "Did you mean 'accuracy'"),
        (
            {"evaluation.metric": "registered_first"},
            "evaluation.metric='registered_first' is not a metric of classification. Did you mean",
        ),
    ],
)
def test_mistakes(overrides, sentence):
    with pytest.raises(UserError) as caught:
        make_task(apply_overrides(Config(), overrides), 3)
    assert sentence in str(caught.value)
