"""Losses of segmentation equal those of segmentation_models_pytorch, MONAI and PyTorch.

Those of segmentation_models_pytorch take a batch for one image, so they are given one at a time.
"""

import functools

import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.tasks.losses import boundary, cross_entropy, dice, focal, jaccard, lovasz, tversky
from tests.pretrained.peer_networks import libraries

pytestmark = pytest.mark.peer

CLASSES = 4
WEIGHTS = (0.5, 1.0, 3.0, 2.0)


@functools.cache
def torch_and_smp():
    torch = libraries()[0]
    return torch, pytest.importorskip("segmentation_models_pytorch").losses


@functools.cache
def torch_and_monai():
    torch = libraries()[0]
    return torch, pytest.importorskip("monai").losses


def sample(classes=CLASSES, ignored=0.2, absent=()):
    """Logits and labels of three images; the classes `absent` are in none of them."""
    rng = np.random.default_rng(0)
    present = [index for index in range(max(classes, 2)) if index not in absent]
    labels = rng.choice(present, (3, 7, 6)).astype(np.int64)
    labels[rng.random(labels.shape) < ignored] = 255
    return 2 * rng.normal(size=(3, 7, 6, classes)).astype(np.float32), labels


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=2e-5, atol=1e-6)


def one_by_one(torch, loss, logits, labels):
    """A peer's loss of each image; channels come first there."""
    images = torch.from_numpy(np.moveaxis(logits, -1, 1).copy())
    target = torch.from_numpy(labels)
    return [float(loss(images[i : i + 1], target[i : i + 1])) for i in range(len(labels))]


@pytest.mark.parametrize("classes", [1, CLASSES])
@pytest.mark.parametrize("smooth", [0.0, 1.0, 20.0])
def test_smp_dice_jaccard_tversky(classes, smooth):
    torch, smp = torch_and_smp()
    logits, labels = sample(classes)
    whole_logits, whole_labels = sample(classes, ignored=0.0)
    mode = "binary" if classes == 1 else "multiclass"
    expected = one_by_one(
        torch, smp.DiceLoss(mode, smooth=smooth, ignore_index=255), logits, labels
    )
    close(dice(logits, labels, smooth=smooth), expected)
    tversky_loss = smp.TverskyLoss(mode, smooth=smooth, ignore_index=255, alpha=0.3, beta=0.8)
    expected = one_by_one(torch, tversky_loss, logits, labels)
    close(tversky(logits, labels, smooth=smooth, alpha=0.3, beta=0.8), expected)
    # It knows no ignored pixels.
    jaccard_loss = smp.JaccardLoss(mode, smooth=smooth)
    expected = one_by_one(torch, jaccard_loss, whole_logits, whole_labels)
    close(jaccard(whole_logits, whole_labels, smooth=smooth), expected)


def test_smp_class_that_the_image_lacks():
    """There its loss is 0 and counts in the mean; here, without smoothing, it does not count."""
    torch, smp = torch_and_smp()
    logits, labels = sample(absent=(2,))
    expected = one_by_one(torch, smp.DiceLoss("multiclass", ignore_index=255), logits, labels)
    close(dice(logits, labels, smooth=0.0), np.multiply(expected, 4 / 3))


def test_smp_class_weights():
    torch, smp = torch_and_smp()
    logits, labels = sample()
    loss = smp.DiceLoss("multiclass", ignore_index=255, class_weights=list(WEIGHTS))
    expected = one_by_one(torch, loss, logits, labels)
    close(dice(logits, labels, smooth=0.0, class_weights=WEIGHTS), expected)


def test_smp_focal_tversky():
    """Of one class: there the power is of the mean over classes. Its exponent is ours inverted."""
    torch, smp = torch_and_smp()
    logits, labels = sample(1)
    loss = smp.TverskyLoss("binary", ignore_index=255, alpha=0.3, beta=0.7, gamma=0.75)
    expected = one_by_one(torch, loss, logits, labels)
    close(tversky(logits, labels, gamma=4 / 3, smooth=0.0), expected)


@pytest.mark.parametrize("alpha", [None, 0.25])
def test_smp_focal_of_one_logit(alpha):
    torch, smp = torch_and_smp()
    logits, labels = sample(1)
    loss = smp.FocalLoss("binary", alpha=alpha, gamma=1.5, ignore_index=255)
    expected = one_by_one(torch, loss, logits, labels)
    close(focal(logits, labels, alpha=alpha, gamma=1.5), expected)


def test_smp_focal_over_the_softmax():
    torch, _ = torch_and_smp()
    functional = pytest.importorskip("segmentation_models_pytorch.losses._functional")
    logits, labels = sample(ignored=0.0)
    loss = functools.partial(functional.softmax_focal_loss_with_logits, gamma=3.0)
    close(focal(logits, labels, gamma=3.0), one_by_one(torch, loss, logits, labels))


@pytest.mark.parametrize("classes", [1, CLASSES])
@pytest.mark.parametrize("absent", [(), (1,)])
def test_smp_lovasz(classes, absent):
    torch, smp = torch_and_smp()
    logits, labels = sample(classes, absent=absent)
    loss = smp.LovaszLoss("binary" if classes == 1 else "multiclass", ignore_index=255)
    close(lovasz(logits, labels), one_by_one(torch, loss, logits, labels))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_smp_cross_entropy(smoothing):
    """There the mean is over all pixels, with 0 for the ignored ones."""
    torch, smp = torch_and_smp()
    logits, labels = sample()
    loss = smp.SoftCrossEntropyLoss(smooth_factor=smoothing, ignore_index=255)
    expected = np.array(one_by_one(torch, loss, logits, labels))
    share = (labels != 255).mean(axis=(1, 2))
    close(cross_entropy(logits, labels, label_smoothing=smoothing), expected / share)


def test_torch_cross_entropy_with_class_weights():
    """There the sum is divided by the weights, here by the number of pixels."""
    torch, _ = torch_and_smp()
    logits, labels = sample()
    loss = torch.nn.CrossEntropyLoss(torch.tensor(WEIGHTS), ignore_index=255, reduction="none")
    channels_first = torch.from_numpy(np.moveaxis(logits, -1, 1).copy())
    expected = loss(channels_first, torch.from_numpy(labels)).numpy()
    valid = labels != 255
    expected = expected.sum(axis=(1, 2)) / valid.sum(axis=(1, 2))
    close(cross_entropy(logits, labels, class_weights=WEIGHTS), expected)
    ones = jnp.ones(labels.shape)
    close(boundary(logits, labels, weight=ones, class_weights=WEIGHTS), expected)


@pytest.mark.parametrize("classes", [1, CLASSES])
@pytest.mark.parametrize("absent", [(), (1,)])
@pytest.mark.parametrize("smooth", [0.5, 4.0])
def test_monai_dice_jaccard_tversky(classes, absent, smooth):
    """Also with a class that is not in the image. Its 2 TP is smoothed with twice our number."""
    torch, monai = torch_and_monai()
    logits, labels = sample(classes, ignored=0.0, absent=absent)
    images = torch.from_numpy(np.moveaxis(logits, -1, 1).copy())
    target = torch.from_numpy(labels)[:, None]
    options = {"sigmoid": True} if classes == 1 else {"softmax": True, "to_onehot_y": True}
    options["reduction"] = "none"

    def per_image(loss):
        return loss(images, target).numpy().reshape(3, -1).mean(axis=1)

    twice = {"smooth_nr": 2 * smooth, "smooth_dr": 2 * smooth}
    expected = per_image(monai.DiceLoss(**options, **twice))
    close(dice(logits, labels, smooth=smooth), expected)
    expected = per_image(monai.DiceLoss(**options, **twice, jaccard=True))
    close(jaccard(logits, labels, smooth=smooth), expected)
    once = {"smooth_nr": smooth, "smooth_dr": smooth}
    expected = per_image(monai.TverskyLoss(**options, **once, alpha=0.3, beta=0.8))
    close(tversky(logits, labels, smooth=smooth, alpha=0.3, beta=0.8), expected)


@pytest.mark.parametrize("classes", [1, CLASSES])
def test_monai_focal(classes):
    """There each pixel has a loss for each class, of which but one is 0."""
    torch, monai = torch_and_monai()
    logits, labels = sample(classes, ignored=0.0)
    loss = monai.FocalLoss(
        gamma=1.5, reduction="none", to_onehot_y=classes > 1, use_softmax=classes > 1
    )
    images = torch.from_numpy(np.moveaxis(logits, -1, 1).copy())
    expected = loss(images, torch.from_numpy(labels)[:, None]).sum(1).mean(dim=(1, 2)).numpy()
    close(focal(logits, labels, gamma=1.5), expected)
