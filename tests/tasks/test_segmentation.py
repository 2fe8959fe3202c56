"""Metrics of segmentation: exact over a set in odd batches, and equal to scikit-learn's."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics

from cnnlab.errors import UserError
from cnnlab.tasks import Segmentation
from cnnlab.tasks.losses import LOSSES, cross_entropy, dice, focal
from cnnlab.tasks.metrics.boundary import boundary_counts
from cnnlab.tasks.segmentation import center_crop
from cnnlab.train.runtime.devices import make_parallel

CLASSES = 5


def scenes(count=7, size=(9, 8), classes=CLASSES, seed=0):
    """Blocks of classes, the last of which is nowhere; logits that are often right."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, classes - 1, (count, 3, 3)).astype(np.uint8)
    labels = blocks.repeat(3, axis=1).repeat(3, axis=2)[:, : size[0], : size[1]]
    labels[:, :2, 1:4] = 255
    logits = rng.normal(size=(*labels.shape, classes)).astype(np.float32)
    logits[..., -1] -= 100  # never predicted
    return logits + 1.5 * (labels[..., None] == np.arange(classes)).astype(np.float32), labels


def eval_sums(task, logits, batch):
    """As one program: compiling each of its operations alone takes longer."""
    return jax.jit(task.eval_sums)(logits, batch)


def loss_of(task, logits, batch, train=False):
    return jax.jit(functools.partial(task.loss, train=train))(logits, batch)


def total_sums(task, logits, labels, batch_size):
    """As evaluation adds them up: in int64 and float64, the last batch padded and masked."""
    compiled, total = jax.jit(task.eval_sums), {}
    for start in range(0, len(labels), batch_size):
        rows = np.arange(start, start + batch_size)
        real = rows < len(labels)
        batch = {"label": labels[rows % len(labels)], "mask": real.astype(np.float32)}
        for name, value in compiled(logits[rows % len(labels)], batch).items():
            wide = np.asarray(value, np.float64 if value.dtype.kind == "f" else np.int64)
            total[name] = total.get(name, 0) + wide
    return total


@pytest.mark.parametrize("batch_size", [3, 4, 7, 10])
def test_equals_scikit_learn(batch_size):
    logits, labels = scenes()
    task = Segmentation(CLASSES)
    sums = total_sums(task, logits, labels, batch_size)
    valid = labels != 255
    true, predicted = labels[valid], logits.argmax(-1)[valid]
    names = range(CLASSES)
    confusion = metrics.confusion_matrix(true, predicted, labels=names)
    np.testing.assert_array_equal(sums["confusion"], confusion)
    assert sums["pixels"] == valid.sum()
    assert sums["count"] == 7

    numbers, rows = task.finalize(sums), task.per_class(sums)
    occurring, one_loss = np.unique([true, predicted]), jax.jit(cross_entropy)
    expected = {
        "accuracy": metrics.accuracy_score(true, predicted),
        "miou": metrics.jaccard_score(true, predicted, average="macro"),
        "mean_dice": metrics.f1_score(true, predicted, average="macro"),
        "mean_class_accuracy": metrics.balanced_accuracy_score(true, predicted),
        "loss": np.mean([one_loss(logits[i : i + 1], labels[i : i + 1]) for i in range(7)]),
    }
    for name, value in expected.items():
        assert numbers[name] == pytest.approx(value, rel=1e-6), name
    assert set(numbers) == set(task.metrics)

    for name, score in [
        ("iou", metrics.jaccard_score),
        ("dice", metrics.f1_score),
        ("accuracy", metrics.recall_score),
        ("precision", metrics.precision_score),
    ]:
        column = [rows[index][name] for index in occurring]
        np.testing.assert_allclose(column, score(true, predicted, average=None), rtol=1e-12)
    assert [row["pixels"] for row in rows] == [(true == index).sum() for index in names]
    assert all(np.isnan(rows[-1][name]) for name in rows[-1] if name != "pixels")


def test_class_that_is_predicted_only():
    """It counts with 0 where a score exists."""
    sums = {
        "loss": 0.0, "count": 1.0, "pixels": 4,
        "confusion": np.array([[3, 1, 0], [0, 0, 0], [0, 0, 0]]),
        "boundary": np.array([[2, 2, 0, 0], [4, 0, 0, 0], [0, 0, 0, 0]]),
    }  # fmt: skip
    numbers = Segmentation(3).finalize(sums)
    assert numbers == {
        "loss": 0.0, "accuracy": 0.75, "miou": 3 / 8, "mean_dice": 3 / 7,
        "mean_class_accuracy": 0.75, "boundary_f1": 0.0,
    }  # fmt: skip


def test_nothing_to_judge():
    """Not a division by zero: a mean over no class is not a number."""
    task = Segmentation(3)
    batch = {"label": jnp.full((2, 4, 4), 255), "mask": jnp.ones(2)}
    numbers = task.finalize(eval_sums(task, jnp.zeros((2, 4, 4, 3)), batch))
    assert numbers["loss"] == numbers["accuracy"] == 0
    assert np.isnan(numbers["miou"])
    assert np.isnan(numbers["boundary_f1"])


def test_training_sums():
    logits, labels = scenes()
    task = Segmentation(CLASSES)
    batch = {"label": labels, "mask": np.array([1, 1, 1, 1, 1, 0, 0], np.float32)}
    losses = loss_of(task, logits, batch, train=True)
    sums = jax.jit(task.train_sums)(logits, losses, batch)
    numbers = task.finalize(sums)
    valid = labels[:5] != 255
    assert sums["pixels"] == valid.sum()
    right = (logits.argmax(-1)[:5] == labels[:5])[valid]
    assert numbers == {
        "loss": pytest.approx(losses[:5].mean()),
        "accuracy": pytest.approx(right.mean()),
    }
    # More pixels over a window of steps than an int32 holds.
    assert all(value.dtype == jnp.float32 for value in sums.values())


def test_sums_are_whole_numbers():
    logits, labels = scenes(2)
    batch = {"label": labels, "mask": np.ones(2)}
    sums = eval_sums(Segmentation(CLASSES), logits, batch)
    for name in ("pixels", "confusion", "boundary"):
        assert sums[name].dtype == jnp.int32


@pytest.mark.parametrize("mode", ["jit", "pmap"])
def test_sums_over_devices(mode):
    logits, labels = scenes(8)
    task = Segmentation(CLASSES)
    batch = {"logits": logits, "label": labels, "mask": np.ones(8, np.float32)}
    parallel = make_parallel(mode, 4)
    step = parallel.compile_eval(lambda _, batch: task.eval_sums(batch["logits"], batch))
    four = parallel.collect(step(parallel.replicate({}), parallel.shard(batch)))
    for name, value in eval_sums(task, logits, batch).items():
        np.testing.assert_allclose(four[name], value, rtol=1e-6)


def boundary_by_definition(predicted, true, valid, tolerance):
    counts = np.zeros((CLASSES, 4), int)
    for image in range(len(true)):
        edges = []
        for labels in (predicted[image], true[image]):
            found = {index: [] for index in range(CLASSES)}
            for row, column in np.argwhere(valid[image]):
                for near in (
                    (row - 1, column),
                    (row + 1, column),
                    (row, column - 1),
                    (row, column + 1),
                ):
                    inside = 0 <= near[0] < labels.shape[0] and 0 <= near[1] < labels.shape[1]
                    if inside and valid[image][near] and labels[near] != labels[row, column]:
                        found[labels[row, column]].append((row, column))
                        break
            edges.append(found)
        for index in range(CLASSES):
            for column, (mine, other) in enumerate([edges, edges[::-1]]):
                counts[index, 2 * column] += len(mine[index])
                for pixel in mine[index]:
                    distances = [np.hypot(*np.subtract(pixel, o)) for o in other[index]]
                    counts[index, 2 * column + 1] += min(distances, default=np.inf) <= tolerance
    return counts


@pytest.mark.parametrize("tolerance", [0, 1, 2, 3, 20])
def test_boundary_equals_the_definition(tolerance):
    logits, labels = scenes(3)
    predicted = np.where(np.arange(8) < 5, labels, logits.argmax(-1)) % CLASSES  # right in part
    predicted = np.roll(predicted, 1, axis=2).astype(np.int32)
    valid = labels != 255
    true = np.where(valid, labels, 0).astype(np.int32)
    count = functools.partial(boundary_counts, num_classes=CLASSES, tolerance=tolerance)
    counts = jax.jit(count)(predicted, true, valid)
    expected = boundary_by_definition(predicted, true, valid, tolerance)
    np.testing.assert_array_equal(counts, expected)
    precision, recall = expected[:-1, 1] / expected[:-1, 0], expected[:-1, 3] / expected[:-1, 2]
    rows = Segmentation(CLASSES).per_class({"confusion": np.eye(CLASSES), "boundary": expected})
    f1 = np.array([row["boundary_f1"] for row in rows[:-1]])
    np.testing.assert_allclose(f1 * (precision + recall), 2 * precision * recall)


def test_boundary_off_by_the_tolerance():
    """A wall two pixels to the right: all is found with a tolerance of 2, nothing with 1."""
    labels = np.zeros((1, 8, 12), np.uint8)
    labels[:, :, 5:] = 1
    moved = np.roll(labels, 2, axis=2)
    moved[:, :, :2] = 0
    logits = 9.0 * (moved[..., None] == np.arange(2)).astype(np.float32)
    for tolerance, score in [(1, 0.0), (2, 1.0)]:
        task = Segmentation(2, boundary_tolerance=tolerance)
        sums = eval_sums(task, logits, {"label": labels, "mask": np.ones(1)})
        assert task.finalize(sums)["boundary_f1"] == score


def test_sum_of_losses():
    logits, labels = scenes()
    batch = {"label": labels, "mask": np.ones(7, np.float32)}
    task = Segmentation(
        CLASSES,
        losses={"cross_entropy": 0.5, "dice": 2.0, "focal": 1.0, "lovasz": 0.0},
        options={"focal": {"gamma": 3.0}, "dice": {"class_weights": (0.0, 1.0, 1.0, 1.0, 1.0)}},
        class_weights=(1.0, 2.0, 1.0, 1.0, 1.0),
        label_smoothing=0.1,
    )
    weights = (1.0, 2.0, 1.0, 1.0, 1.0)

    @jax.jit
    def sum_of_losses(smoothing):
        others = 2 * dice(logits, labels, class_weights=(0.0, 1.0, 1.0, 1.0, 1.0))
        others += focal(logits, labels, gamma=3.0, class_weights=weights)
        return others + 0.5 * cross_entropy(
            logits, labels, label_smoothing=smoothing, class_weights=weights
        )

    for train in (True, False):
        expected = sum_of_losses(0.1 if train else 0.0)
        np.testing.assert_allclose(loss_of(task, logits, batch, train), expected, rtol=1e-6)


def test_boundary_takes_the_weights_of_the_batch():
    logits, labels = scenes()
    task = Segmentation(CLASSES, losses={"boundary": 1.0}, options={"boundary": {"width": 1}})
    batch = {"label": labels, "weight": np.full(labels.shape, 2.0, np.float32)}
    expected = 2 * jax.jit(cross_entropy)(logits, labels)
    np.testing.assert_allclose(loss_of(task, logits, batch), expected, rtol=1e-6)
    without = task.loss(logits, {"label": labels})
    np.testing.assert_array_equal(without, LOSSES["boundary"](logits, labels, width=1))


def test_logits_of_the_middle():
    """A network without padding: labels and weights are cropped to its map."""
    logits, labels = scenes()
    middle = logits[:, 2:7, 1:6]
    task = Segmentation(CLASSES, losses={"boundary": 1.0})
    weight = np.random.default_rng(0).random(labels.shape, np.float32)
    whole = {"label": labels, "weight": weight, "mask": np.ones(7, np.float32)}
    cut = {"label": labels[:, 2:7, 1:6], "weight": weight[:, 2:7, 1:6], "mask": whole["mask"]}
    expected = eval_sums(task, middle, cut)
    for name, value in eval_sums(task, middle, whole).items():
        np.testing.assert_array_equal(value, expected[name])
    losses = loss_of(task, middle, whole, train=True)
    train_sums = jax.jit(task.train_sums)
    expected = train_sums(middle, losses, cut)
    for name, value in train_sums(middle, losses, whole).items():
        np.testing.assert_array_equal(value, expected[name])
    with pytest.raises(ValueError, match="are smaller than"):
        center_crop(labels, (9, 10))


def test_one_logit():
    logits, labels = scenes(classes=3)  # of which the last is nowhere
    one, two = Segmentation(2, binary=True), Segmentation(2)
    assert (one.num_logits, two.num_logits) == (1, 2)
    pair = jnp.asarray(logits[..., :2])
    single = pair[..., 1:] - pair[..., :1]
    batch = {"label": labels, "mask": np.ones(7, np.float32)}
    sums, expected = eval_sums(one, single, batch), eval_sums(two, pair, batch)
    for name in expected:
        np.testing.assert_allclose(sums[name], expected[name], rtol=1e-6)
    np.testing.assert_array_equal(one.predict(single), two.predict(pair))
    np.testing.assert_allclose(one.probabilities(single), two.probabilities(pair), rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"losses": {"dise": 1.0}}, "Unknown loss 'dise'. Did you mean 'dice'?"),
        ({"losses": {"dice": 0.0}}, "No loss has a weight above 0"),
        ({"losses": {"dice": -1.0}}, "weight of the loss 'dice' must be a number of at least 0"),
        ({"losses": {"dice": "yes"}}, "at least 0, got 'yes'"),
        ({"options": {"dice": {"smooth": 0.0}}}, "'dice', which has no weight"),
        ({"options": {"focel": {}}}, "Unknown loss 'focel'. Did you mean 'focal'?"),
        ({"losses": {"focal": 1}, "options": {"focal": {"gama": 1}}}, "Did you mean 'gamma'?"),
        ({"losses": {"focal": 1}, "options": {"focal": {"gamma": "big"}}}, "focal's gamma must be"),
        ({"losses": {"focal": 1}, "options": {"focal": 2.0}}, "given by their names, got 2.0"),
        ({"losses": {"boundary": 1}, "options": {"boundary": {"width": 1.5}}}, "a whole number"),
        (
            {"options": {"cross_entropy": {"ignore": 0}}},
            "no option 'ignore'. Choose from: class_we",
        ),
        ({"class_weights": (1.0, 2.0)}, "must be 5 numbers, one for each class"),
        ({"class_weights": (0.0,) * 5}, "leaves no class"),
        ({"class_weights": (1.0, 1.0, 1.0, 1.0, -1.0)}, "A class weight must be"),
        ({"binary": True}, "needs two classes, but there are 5"),
        ({"label_smoothing": 1.0}, "label_smoothing=1.0"),
        (
            {"label_smoothing": 0.1, "losses": {"dice": 1.0}},
            "no weight: set one, or leave label_smoothing",
        ),
        ({"boundary_tolerance": -1}, "boundary_tolerance=-1"),
    ],
)
def test_mistakes(options, sentence):
    with pytest.raises(UserError) as error:
        Segmentation(CLASSES, **options)
    assert sentence in str(error.value)
