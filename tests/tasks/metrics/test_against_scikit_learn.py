"""Metrics beside the standard ones: scikit-learn's values, on random and on tied scores."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as reference

from cnnlab.config import Config, apply_overrides
from cnnlab.data import ArraySource
from cnnlab.errors import UserError
from cnnlab.tasks import Classification, Multilabel
from cnnlab.tasks.build import make_task
from cnnlab.tasks.metrics.registered import make_metrics, values_per_class
from cnnlab.train.evaluation import SumsTotal, evaluate
from cnnlab.train.runtime.devices import make_parallel

ALL = ("balanced_accuracy", "precision", "recall", "f1", "auroc", "average_precision", "brier")
MULTI = ALL[1:]


def draws(classes, *, tied, multilabel=False, count=203):
    draw = np.random.default_rng(classes + tied)
    logits = draw.normal(size=(count, classes)).astype(np.float32)
    if tied:
        logits = np.round(logits)  # many examples share a score
    if multilabel:
        return logits, (draw.random((count, classes)) < 0.3).astype(np.int32)
    labels = draw.integers(0, classes - (classes > 3), count)  # one class without examples
    return logits, labels.astype(np.int32)


def computed(task, logits, labels, batch=32):
    """Metrics over padded batches, whose padding is counted nowhere."""
    total = SumsTotal()
    for start in range(0, len(logits), batch):
        x, y = logits[start : start + batch], labels[start : start + batch]
        missing = batch - len(x)
        x = np.concatenate([x, np.full((missing, x.shape[1]), 9.0, np.float32)])
        y = np.concatenate([y, np.zeros((missing, *y.shape[1:]), np.int32)])
        mask = jnp.asarray(np.arange(batch) < batch - missing, jnp.float32)
        total.add(jax.device_get(task.eval_sums(x, {"label": jnp.asarray(y), "mask": mask})))
    return task.finalize(total.result()), total.result()


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("tied", [False, True])
def test_single_labels(classes, tied):
    logits, labels = draws(classes, tied=tied)
    further = make_metrics(ALL, task="classification", num_classes=classes)
    found, sums = computed(Classification(classes, extra_metrics=further), logits, labels)
    p = np.asarray(jax.nn.softmax(logits), np.float64)
    predicted = np.asarray(jax.nn.softmax(logits)).argmax(-1)
    occurring = np.unique(np.concatenate([labels, predicted]))
    options = {"average": "macro", "labels": occurring, "zero_division": 0}
    ranked = [c for c in range(classes) if 0 < (labels == c).sum() < len(labels)]
    one_hot = np.eye(classes)[labels]
    expected = {
        "balanced_accuracy": reference.recall_score(
            labels, predicted, average="macro", labels=np.unique(labels)
        ),
        "precision": reference.precision_score(labels, predicted, **options),
        "recall": reference.recall_score(labels, predicted, **options),
        "f1": reference.f1_score(labels, predicted, **options),
        "auroc": np.mean([reference.roc_auc_score(labels == c, p[:, c]) for c in ranked]),
        "average_precision": np.mean(
            [reference.average_precision_score(labels == c, p[:, c]) for c in ranked]
        ),
        "brier": reference.brier_score_loss(labels, p[:, 1])
        if classes == 2
        else np.square(p - one_hot).sum(-1).mean(),
    }
    for name in ALL:
        assert found[name] == pytest.approx(expected[name], rel=1e-5), name
    assert found["balanced_accuracy"] == pytest.approx(found["mean_class_accuracy"])
    per_class = values_per_class(further, sums)["f1"]
    alone = reference.f1_score(labels, predicted, average=None, labels=occurring, zero_division=0)
    np.testing.assert_allclose(np.array(per_class)[occurring], alone, rtol=1e-6)


def test_multi_class_functions_of_scikit_learn():
    """Where all classes occur, the macro means are its own multi-class scores."""
    logits, labels = draws(3, tied=True)
    further = make_metrics(ALL, task="classification", num_classes=3)
    found, _ = computed(Classification(3, extra_metrics=further), logits, labels)
    p = np.asarray(jax.nn.softmax(logits), np.float64)
    assert found["auroc"] == pytest.approx(
        reference.roc_auc_score(labels, p, multi_class="ovr", average="macro"), rel=1e-6
    )
    assert found["average_precision"] == pytest.approx(
        reference.average_precision_score(labels, p, average="macro"), rel=1e-6
    )
    p /= p.sum(-1, keepdims=True)
    assert found["brier"] == pytest.approx(reference.brier_score_loss(labels, p), rel=1e-5)
    predicted = np.asarray(logits).argmax(-1)
    assert found["balanced_accuracy"] == pytest.approx(
        reference.balanced_accuracy_score(labels, predicted)
    )


@pytest.mark.parametrize("tied", [False, True])
def test_multi_hot_labels(tied):
    logits, labels = draws(4, tied=tied, multilabel=True)
    further = make_metrics(MULTI, task="multilabel", num_classes=4)
    found, sums = computed(Multilabel(4, extra_metrics=further), logits, labels)
    p = np.asarray(jax.nn.sigmoid(logits), np.float64)
    decided = (np.asarray(jax.nn.sigmoid(logits)) > 0.5).astype(int)
    options = {"average": "macro", "zero_division": 0}
    expected = {
        "precision": reference.precision_score(labels, decided, **options),
        "recall": reference.recall_score(labels, decided, **options),
        "f1": reference.f1_score(labels, decided, **options),
        "auroc": reference.roc_auc_score(labels, p, average="macro"),
        "average_precision": reference.average_precision_score(labels, p, average="macro"),
        "brier": np.square(p - labels).mean(),
        "subset_accuracy": reference.accuracy_score(labels, decided),
        "label_accuracy": 1 - reference.hamming_loss(labels, decided),
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-5), name
    per_class = Multilabel(4, extra_metrics=further).per_class(sums)
    np.testing.assert_array_equal(per_class["positives"], labels.sum(0))
    recalls = reference.recall_score(labels, decided, average=None)
    np.testing.assert_allclose(per_class["recall"], recalls)
    areas = reference.roc_auc_score(labels, p, average=None)
    np.testing.assert_allclose(per_class["auroc"], areas, rtol=1e-6)


@pytest.mark.parametrize("kind", ["jit", "pmap"])
def test_devices_and_batch_sizes_agree(kind):
    """Rows are gathered from all devices; each example is ranked once."""
    logits, labels = draws(3, tied=True, count=37)
    images = np.clip(np.round(logits * 20 + 120), 0, 255).astype(np.uint8)[:, None, :, None]
    source = ArraySource(images, labels)
    further = make_metrics(ALL, task="classification", num_classes=3)
    task = Classification(3, extra_metrics=further)

    def step(variables, batch):
        return task.eval_sums((batch["image"][:, 0, :, 0] / 255.0) * variables, batch)

    scores = [
        task.finalize(
            evaluate(
                parallel.compile_eval(step),
                parallel.replicate(jnp.float32(4.0)),
                source,
                parallel,
                batch_size=size,
            )
        )
        for parallel, size in ((make_parallel("jit", 1), 37), (make_parallel(kind, 2), 6))
    ]
    assert scores[0].keys() == scores[1].keys()
    for name, value in scores[0].items():
        assert scores[1][name] == pytest.approx(value, rel=1e-6), name


def test_classes_that_cannot_be_ranked_have_no_part():
    further = make_metrics(("auroc", "average_precision"), task="classification", num_classes=2)
    logits = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)
    found, _ = computed(Classification(2, extra_metrics=further), logits, np.zeros(2, np.int32))
    assert np.isnan(found["auroc"])
    assert found["average_precision"] == 1.0


def test_any_of_them_can_pick_the_best_checkpoint():
    config = apply_overrides(Config(), {"evaluation.metric": "brier"})
    assert make_task(config, 3).metrics["brier"] == "min"
    config = apply_overrides(Config(), {"evaluation.metric": "auroc"})
    task = make_task(config, 3)
    assert set(task.extra_metrics) == {"auroc"}
    assert task.metrics["auroc"] == "max"
    config = apply_overrides(Config(), {"evaluation.metrics": "f1,accuracy"})
    assert set(make_task(config, 3).extra_metrics) == {"f1"}
    with pytest.raises(UserError, match="'aurok' is not a metric"):
        make_task(apply_overrides(Config(), {"evaluation.metrics": "aurok"}), 3)
