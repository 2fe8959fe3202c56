"""Losses of whole images: values by hand, weights, and how they combine in a task."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from cnnlab.config import Config, apply_overrides
from cnnlab.errors import UserError
from cnnlab.tasks import Classification, Multilabel
from cnnlab.tasks.build import make_task
from cnnlab.tasks.losses.images import (
    balanced_weights,
    binary_cross_entropy,
    cross_entropy,
    focal,
    sigmoid_focal,
)
from tests.pretrained.peer_networks import libraries

P = np.array([[0.7, 0.2, 0.1], [0.5, 0.3, 0.2]])
LOGITS = jnp.log(jnp.asarray(P))
TARGETS = jnp.array([[1.0, 0.0, 0.0], [0.0, 0.75, 0.25]])
WEIGHTS = (0.5, 1.0, 4.0)


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_weighted_cross_entropy_of_mixed_targets():
    """As PyTorch's with probabilities as targets: each class's term has its weight."""
    second = -(0.75 * 1.0 * np.log(0.3) + 0.25 * 4.0 * np.log(0.2))
    close(cross_entropy(LOGITS, TARGETS, class_weights=WEIGHTS), [-0.5 * np.log(0.7), second])


def test_focal_by_hand():
    second = -(0.75 * 0.7**2 * np.log(0.3) + 0.25 * 0.8**2 * np.log(0.2))
    close(focal(LOGITS, TARGETS), [-(0.3**2) * np.log(0.7), second])
    close(focal(LOGITS, TARGETS, gamma=0.0), cross_entropy(LOGITS, TARGETS))
    grads = jax.grad(lambda z: focal(z, TARGETS, gamma=0.5).sum())(jnp.full((2, 3), 80.0) * TARGETS)
    assert np.isfinite(grads).all()


def test_binary_cross_entropy_by_hand():
    q = np.array([[0.9, 0.4, 0.2]])
    logits = jnp.log(q / (1 - q))
    targets = jnp.array([[1.0, 0.0, 0.3]])
    terms = -np.array([np.log(0.9), np.log(0.6), 0.3 * np.log(0.2) + 0.7 * np.log(0.8)])
    close(binary_cross_entropy(logits, targets), [terms.mean()])
    close(binary_cross_entropy(logits, targets, sum_classes=True), [terms.sum()])
    close(binary_cross_entropy(logits, targets, class_weights=WEIGHTS), [(terms * WEIGHTS).mean()])
    hard = -np.array([np.log(0.9), np.log(0.6), np.log(0.2)])
    close(binary_cross_entropy(logits, targets, target_threshold=0.2), [hard.mean()])


def test_sigmoid_focal_by_hand():
    q = np.array([[0.9, 0.4]])
    logits, targets = jnp.log(q / (1 - q)), jnp.array([[1.0, 0.0]])
    terms = [-0.25 * 0.1**2 * np.log(0.9), -0.75 * 0.4**2 * np.log(0.6)]
    close(sigmoid_focal(logits, targets, alpha=0.25, sum_classes=True), [sum(terms)])
    close(sigmoid_focal(logits, targets, alpha=0.25), [np.mean(terms)])
    plain = sigmoid_focal(logits, targets, gamma=0.0)
    close(plain, binary_cross_entropy(logits, targets))


def test_balanced_weights_are_those_of_scikit_learn():
    labels = np.repeat([0, 1, 2], [50, 7, 13])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    close(balanced_weights(np.bincount(labels).tolist()), expected)
    assert balanced_weights([30, 0, 10]) == (40 / 60, 0.0, 2.0)


def config_of(**fields):
    return apply_overrides(Config(), {k.replace("__", "."): v for k, v in fields.items()})


def test_a_task_takes_its_losses_from_the_config():
    config = config_of(
        loss__terms={"cross_entropy": 1.0, "focal": 0.5},
        loss__options={"focal": {"gamma": 3.0}},
        loss__class_weights="balanced",
        loss__label_smoothing=0.3,
    )
    task = make_task(config, 3, [30, 0, 10])
    weights = balanced_weights([30, 0, 10])
    label = jnp.array([0, 1])
    smooth = 0.7 * jax.nn.one_hot(label, 3) + 0.1
    expected = cross_entropy(LOGITS, smooth, class_weights=weights)
    expected += 0.5 * focal(LOGITS, smooth, gamma=3.0, class_weights=weights)
    batch = {"label": label, "mask": jnp.ones(2)}
    close(task.loss(LOGITS, batch, train=True), expected)
    mixed = task.loss(LOGITS, {**batch, "target": TARGETS})
    whole = cross_entropy(LOGITS, TARGETS, class_weights=weights)
    close(mixed, whole + 0.5 * focal(LOGITS, TARGETS, gamma=3.0, class_weights=weights))


def test_weights_of_one_change_nothing():
    batch = {"label": jnp.array([0, 1]), "mask": jnp.ones(2)}
    weighted = Classification(3, class_weights=(1.0, 1.0, 1.0))
    close(weighted.loss(LOGITS, batch), Classification(3).loss(LOGITS, batch))


def test_probabilities_of_sigmoids_sum_to_one_and_rank_alike():
    logits = jnp.array([[2.0, -1.0, 0.5], [-200.0, -300.0, -250.0]])
    p = Classification(3, losses={"binary_cross_entropy": 1.0}).probabilities(logits)
    close(p.sum(-1), 1.0)
    np.testing.assert_array_equal(jnp.argsort(p), jnp.argsort(logits))
    q = jax.nn.sigmoid(logits[0])
    close(p[0], q / q.sum())


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"loss__terms": {"focl": 1.0}}, "Unknown loss 'focl'. Did you mean 'focal'"),
        ({"loss__terms": {"dice": 1.0}}, "'dice' is for segmentation, not classification"),
        ({"loss__terms": {"focal": 0.0}}, "No loss has a weight above 0"),
        ({"loss__terms": {"focal": -1.0}}, "at least 0"),
        (
            {"loss__terms": {"focal": 1.0}, "loss__options": {"focal": {"gama": 1.0}}},
            "no option 'gama'. Did you mean 'gamma'",
        ),
        ({"loss__options": {"focal": {"gamma": 1.0}}}, "which has no weight"),
        ({"loss__class_weights": (1.0, 2.0)}, "must be 3 numbers"),
        ({"loss__class_weights": "balanced"}, "are not counted"),
    ],
)
def test_mistakes_are_one_sentence(fields, sentence):
    with pytest.raises(UserError, match=sentence):
        make_task(config_of(**fields), 3)


def test_multilabel_smoothing_and_mixing():
    task = Multilabel(2, label_smoothing=0.2)
    logits = jnp.array([[0.0, 3.0]])
    batch = {"label": jnp.array([[1, 0]]), "mask": jnp.ones(1)}
    expected = binary_cross_entropy(logits, jnp.array([[0.9, 0.1]]))
    close(task.loss(logits, batch, train=True), expected)
    close(task.loss(logits, batch), binary_cross_entropy(logits, jnp.array([[1.0, 0.0]])))
    target = jnp.array([[0.5, 0.5]])
    close(task.loss(logits, batch | {"target": target}), binary_cross_entropy(logits, target))


@pytest.mark.peer
def test_values_agree_with_pytorch_torchvision_and_timm():
    torch, _, _, _declared = libraries()
    ops = pytest.importorskip("torchvision.ops")
    losses = pytest.importorskip("timm.loss")
    draw = np.random.default_rng(0)
    logits = draw.normal(size=(6, 4)).astype(np.float32)
    targets = draw.dirichlet(np.ones(4), 6).astype(np.float32)
    hard = (targets > 0.3).astype(np.float32)
    weights = (0.5, 1.0, 2.0, 4.0)
    x, t, h = map(torch.tensor, (logits, targets, hard))
    expected = torch.nn.functional.cross_entropy(x, t, torch.tensor(weights))
    close(cross_entropy(logits, targets, class_weights=weights).mean(), expected)
    expected = ops.sigmoid_focal_loss(x, h, alpha=0.25, gamma=2.0)
    close(sigmoid_focal(logits, hard, alpha=0.25), expected.mean(-1))
    expected = losses.BinaryCrossEntropy(smoothing=0.0, weight=torch.tensor(weights))(x, t)
    close(binary_cross_entropy(logits, targets, class_weights=weights).mean(), expected)
    expected = losses.BinaryCrossEntropy(smoothing=0.0, target_threshold=0.2, sum_classes=True)
    found = binary_cross_entropy(logits, targets, target_threshold=0.2, sum_classes=True)
    close(found.mean(), expected(x, t))
    labels = torch.tensor([0, 1, 2, 3, 0, 1])
    expected = losses.BinaryCrossEntropy(smoothing=0.1)(x, labels)
    smooth = 0.9 * np.eye(4)[labels.numpy()] + 0.025
    close(binary_cross_entropy(logits, smooth).mean(), expected)
