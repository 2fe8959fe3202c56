"""What holds for every loss of segmentation."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from cnnlab.tasks.losses import LOSSES

CASES = [
    *((name, {}, classes) for name in LOSSES for classes in (1, 4)),
    ("tversky", {"gamma": 4 / 3}, 4),
    ("dice", {"smooth": 0.0}, 4),
    ("focal", {"gamma": 0.5}, 1),
    ("cross_entropy", {"label_smoothing": 0.1, "class_weights": (1.0, 2.0, 0.5, 1.0)}, 4),
]


def parametrize(cases):
    """One case each; those of losses that are computed as Dice's are slow tests."""
    alike = [name in ("jaccard", "tversky") and not options for name, options, _ in cases]
    marked = [
        pytest.param(*case, marks=pytest.mark.slow) if slow else case
        for case, slow in zip(cases, alike, strict=True)
    ]
    return pytest.mark.parametrize(("name", "options", "classes"), marked, ids=str)


each_loss = parametrize(CASES)


@functools.cache
def programs(name, *options):
    """A loss of each example, and their sum with its gradient: compiled once for all tests."""

    def losses(logits, labels):
        return LOSSES[name](logits, labels, **dict(options))

    summed = jax.value_and_grad(lambda logits, labels: losses(logits, labels).sum())
    return jax.jit(losses), jax.jit(summed)


def sample(classes, seed=0):
    """Logits and labels of three images of 6x5 pixels, a fifth of them ignored."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, max(classes, 2), (3, 6, 5)).astype(np.uint8)
    labels[rng.random(labels.shape) < 0.2] = 255
    return jnp.asarray(rng.normal(size=(3, 6, 5, classes)), jnp.float32), jnp.asarray(labels)


def perfect(labels, classes, scale):
    """Logits that are sure of the labels."""
    if classes == 1:
        return jnp.where(labels == 1, scale, -scale)[..., None]
    return scale * jax.nn.one_hot(labels, classes)


@each_loss
def test_one_number_for_each_example(name, options, classes):
    logits, labels = sample(classes)
    compiled, _ = programs(name, *options.items())
    losses = compiled(logits, labels)
    assert losses.shape == (3,)
    assert losses.dtype == jnp.float32
    for index in range(3):
        alone = compiled(logits[index : index + 1], labels[index : index + 1])
        np.testing.assert_allclose(alone[0], losses[index], rtol=1e-5)


@each_loss
def test_gradient(name, options, classes):
    logits, labels = sample(classes)
    losses, _ = programs(name, *options.items())
    check_grads(lambda x: losses(x, labels), (logits,), 1, ["rev"], rtol=0.02, atol=0.005)


@parametrize([case for case in CASES if "label_smoothing" not in case[1]])
def test_perfect_prediction_costs_nothing(name, options, classes):
    _, labels = sample(classes)
    losses, _ = programs(name, *options.items())
    good, bad = (losses(perfect(labels, classes, float(s)), labels) for s in (30, -30))
    assert good.max() < 1e-5
    assert bad.min() > 0.5


@each_loss
def test_only_ignored_pixels(name, options, classes):
    logits, labels = sample(classes)
    labels = labels.at[1].set(255)
    losses, with_gradient = programs(name, *options.items())
    assert losses(logits, labels)[1] == 0
    _, gradient = with_gradient(logits, labels)
    assert np.isfinite(gradient).all()
    assert not gradient[1].any()
    assert gradient[0].any()


@each_loss
def test_ignored_pixels_count_for_nothing(name, options, classes):
    """Whatever stands there, and whatever number means it."""
    logits, labels = sample(classes)
    losses, with_gradient = programs(name, *options.items())
    spoiled = jnp.where((labels == 255)[..., None], jnp.nan, logits)
    expected, gradient = with_gradient(logits, labels)
    found, spoiled_gradient = with_gradient(spoiled, labels)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(spoiled_gradient, gradient)
    assert not gradient[labels == 255].any()
    other = jnp.where(labels == 255, 77, labels)
    renamed, _ = programs(name, *options.items(), ("ignore", 77))
    np.testing.assert_array_equal(renamed(logits, other), losses(logits, labels))


@each_loss
def test_order_of_pixels(name, options, classes):
    logits, labels = sample(classes)
    order = np.random.default_rng(1).permutation(30)
    if name == "boundary":  # it looks at neighbours, unless weights are given
        options = {"weight": jnp.ones((3, 30))}
    loss = jax.jit(functools.partial(LOSSES[name], **options))
    mixed = loss(
        logits.reshape(3, 1, 30, classes)[:, :, order], labels.reshape(3, 1, 30)[:, :, order]
    )
    np.testing.assert_allclose(mixed, loss(logits, labels), rtol=1e-5)


@each_loss
@pytest.mark.parametrize("scale", [1e-30, 1e4, 1e30])
def test_extreme_logits(name, options, classes, scale):
    logits, labels = sample(classes)
    # Surely right in the first image, surely wrong in the second.
    sure = perfect(labels, classes, 1.0).at[1].multiply(-1).at[2].set(logits[2])
    losses, gradient = programs(name, *options.items())[1](scale * sure, labels)
    assert np.isfinite(losses)
    assert np.isfinite(gradient).all()


@each_loss
def test_bfloat16_logits(name, options, classes):
    """Computed in float32: as good as their rounding."""
    logits, labels = sample(classes)
    short = logits.astype(jnp.bfloat16)
    compiled = programs(name, *options.items())[1]
    losses, gradient = compiled(short, labels)
    exact, _ = compiled(short.astype(jnp.float32), labels)
    assert losses.dtype == jnp.float32
    np.testing.assert_allclose(losses, exact, rtol=1e-6)  # two programs, fused differently
    assert gradient.dtype == jnp.bfloat16


@pytest.mark.parametrize("name", ["cross_entropy", "focal", "boundary"])
def test_one_logit_is_two_classes(name):
    logits, labels = sample(1)
    two = jnp.concatenate([jnp.zeros_like(logits), logits], axis=-1)
    np.testing.assert_allclose(LOSSES[name](logits, labels), LOSSES[name](two, labels), rtol=1e-6)


def test_shapes_that_do_not_fit():
    logits, labels = sample(4)
    with pytest.raises(ValueError, match="do not fit labels"):
        LOSSES["dice"](logits[:, :5], labels)
