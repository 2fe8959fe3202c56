"""Grad-CAM, integrated gradients and occlusion, against numbers worked out by hand."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab import create_model
from cnnlab.analysis.attribution.grad_cam import grad_cam, upsample
from cnnlab.analysis.attribution.integrated_gradients import integrated_gradients
from cnnlab.analysis.attribution.occlusion import occlusion, pixel_means
from cnnlab.analysis.attribution.scores import class_scores
from cnnlab.errors import UserError
from tests.analysis.networks import one_conv

IMAGE = jnp.array([[1.0, 2.0], [-3.0, 4.0]]).reshape(1, 2, 2, 1)
FIRST, SECOND = jnp.array([0]), jnp.array([1])


def test_scores():
    logits = jnp.array([[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_array_equal(class_scores(logits, jnp.array([1, 0])), [2.0, 3.0])
    maps = jnp.arange(32.0).reshape(1, 4, 4, 2)
    assert class_scores(maps, SECOND)[0] == pytest.approx(np.arange(1, 32, 2).mean())
    pixels = np.zeros((1, 6, 6), bool)
    pixels[0, 1, 2] = pixels[0, 1, 3] = True  # of the middle, which starts at row and column 1
    assert class_scores(maps, SECOND, pixels)[0] == pytest.approx((3 + 5) / 2)
    assert class_scores(maps, SECOND, np.zeros((1, 4, 4), bool))[0] == 0
    one = jnp.array([[[[3.0]]]])
    assert [float(class_scores(one, jnp.array([c]))[0]) for c in (0, 1)] == [-3.0, 3.0]


@pytest.mark.parametrize("layer", [None, "backbone/conv"])
def test_grad_cam_by_hand(layer):
    """Gradients are 1/4 and -3/4 for class 0, 0 and 1/4 for class 1; channels are 2x and -x."""
    model, variables = one_conv()
    x = np.asarray(IMAGE[..., 0])
    cam = grad_cam(model, variables, IMAGE, FIRST, layer=layer)
    np.testing.assert_allclose(cam, np.maximum(0.25 * 2 * x - 0.75 * -x, 0), rtol=1e-6)
    cam = grad_cam(model, variables, IMAGE, SECOND, layer=layer)
    np.testing.assert_allclose(cam, np.maximum(0.25 * -x, 0), rtol=1e-6)


@pytest.mark.parametrize("layer", [None, "backbone/conv"])
def test_grad_cam_plus_plus_by_hand(layer):
    """Channel sums are 8 and -4. Class 0: a_0 = g^2 / (2 g^2 + 8 g^3) with g = 1/4, which is 1/4 at
    each of four positions, so w_0 = 1/4; the second gradient is negative, so w_1 = 0.
    """
    model, variables = one_conv()
    x = np.asarray(IMAGE[..., 0])
    cam = grad_cam(model, variables, IMAGE, FIRST, layer=layer, plus_plus=True)
    np.testing.assert_allclose(cam, np.maximum(0.25 * 2 * x, 0), rtol=1e-6)
    # Class 1: g = 1/4 for channel 1, whose sum is -4: a = 1 / (2 - 1) = 1, so w_1 = 4 / 4.
    cam = grad_cam(model, variables, IMAGE, SECOND, layer=layer, plus_plus=True)
    np.testing.assert_allclose(cam, np.maximum(-x, 0), rtol=1e-6)


def test_grad_cam_explains_each_image_by_itself(lenet, digits):
    """Also where the coarsest map is a point, so that the layer before it is taken."""
    images = lenet.experiment.normalize()({"image": digits.images[:3]})["image"]
    targets = jnp.array([3, 1, 4])
    call = jax.jit(
        partial(grad_cam, lenet.experiment.model), static_argnames=("layer", "plus_plus")
    )
    together = call(lenet.variables, images, targets)
    assert together.shape == (3, 3, 3)  # of conv2
    alone = call(lenet.variables, images[1:2], targets[1:2])
    np.testing.assert_allclose(together[1:2], alone, rtol=1e-4, atol=1e-6)


def test_grad_cam_needs_positions():
    model = create_model("mlp", num_classes=2)
    images = jnp.zeros((1, 4, 4, 1))
    variables = model.init(jax.random.key(0), images, train=False)
    with pytest.raises(UserError, match="needs feature maps with positions"):
        grad_cam(model, variables, images, FIRST)


def test_grad_cam_of_segmentation(unet, scenes):
    images = unet.experiment.normalize()({"image": scenes.images[:1]})["image"]
    pixels = np.zeros((1, 16, 16), bool)
    pixels[:, :4, :4] = True
    call = jax.jit(partial(grad_cam, unet.experiment.model))
    whole = call(unet.variables, images, SECOND)
    corner = call(unet.variables, images, SECOND, pixels=pixels)
    assert whole.shape == corner.shape == (1, 8, 8)
    assert not np.allclose(whole, corner)


@pytest.mark.parametrize("name", ["lenet", "nin_cifar", "vgg11", "convnext_tiny"])
def test_grad_cam_of_any_network(name):
    """Traced, not computed."""
    model = create_model(name, num_classes=3)
    images = jax.ShapeDtypeStruct(
        (2, *((28, 28, 3) if name == "lenet" else (64, 64, 3))), jnp.float32
    )
    variables = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), images)
    cam = jax.eval_shape(partial(grad_cam, model), variables, images, jnp.array([0, 1]))
    assert cam.shape[0] == 2
    assert cam.shape[1] * cam.shape[2] > 1


def test_upsample():
    heat = jnp.array([[[0.0, 2.0], [2.0, 4.0]], [[0.0, 0.0], [0.0, 0.0]]])
    large = np.asarray(upsample(heat, (4, 4)))
    assert large[0].max() == 1.0
    np.testing.assert_allclose(large[0], large[0].T)
    assert (large[1] == 0).all()


def test_integrated_gradients_of_a_linear_network_by_hand():
    """Weight times distance from the baseline, however few steps there are."""
    model, variables = one_conv()
    baseline = jnp.full((1, 2, 2, 1), 0.5)
    attributions = integrated_gradients(model, variables, IMAGE, FIRST, baseline, steps=1)
    # Class 0 is the mean of 2x + 3x.
    np.testing.assert_allclose(attributions, 5 / 4 * (np.asarray(IMAGE) - 0.5), rtol=1e-6)


def test_integrated_gradients_are_complete(lenet, digits):
    """They add up to the difference of the scores."""
    model, variables = lenet.experiment.model, lenet.variables
    normalize = lenet.experiment.normalize()
    images = normalize({"image": digits.images[:4]})["image"]
    black = normalize({"image": np.zeros_like(digits.images[:1])})["image"]
    targets = jnp.asarray(digits.labels[:4])
    attributions = integrated_gradients(model, variables, images, targets, black, steps=200)
    apply = jax.jit(partial(model.apply, train=False))
    scores, at_black = (
        class_scores(apply(variables, x), targets)
        for x in (images, jnp.broadcast_to(black, images.shape))
    )
    difference = np.asarray(scores - at_black)
    np.testing.assert_allclose(
        attributions.sum((1, 2, 3)), difference, atol=0.01 * np.abs(difference).max()
    )
    assert (attributions[digits.images[:4] == 0] == 0).all()  # where the image is its baseline


def test_integrated_gradients_of_segmentation(unet, scenes):
    normalize = unet.experiment.normalize()
    images = normalize({"image": scenes.images[:1]})["image"]
    pixels = np.zeros((1, 16, 16), bool)
    pixels[:, 8, 8] = True
    attributions = integrated_gradients(
        unet.experiment.model, unet.variables, images, SECOND, jnp.zeros_like(images), steps=2,
        pixels=pixels,
    )  # fmt: skip
    assert attributions.shape == images.shape


def test_occlusion_by_hand():
    """Of a weighted sum, a patch takes what it covers; the last patch ends at the edge."""
    weights = np.arange(20.0).reshape(4, 5)
    image = np.ones((1, 4, 5, 1), np.float32)

    def score(images):
        return (images[..., 0] * weights).sum((1, 2))

    drops = occlusion(score, image, patch=2, stride=2, fill=0.0)
    assert drops.shape == (1, 2, 3)
    np.testing.assert_allclose(drops[0, 0], [0 + 1 + 5 + 6, 2 + 3 + 7 + 8, 3 + 4 + 8 + 9])
    np.testing.assert_allclose(drops[0, 1, 2], 13 + 14 + 18 + 19)
    means = pixel_means(drops, (4, 5), patch=2, stride=2)
    assert means[0, 0, 0] == drops[0, 0, 0]
    assert means[0, 0, 3] == pytest.approx(drops[0, 0, 1:].mean())  # two patches cover it
    np.testing.assert_allclose(occlusion(score, image, patch=2, stride=2, fill=2.0), -drops)
    with pytest.raises(ValueError, match="does not fit"):
        occlusion(score, image, patch=6, stride=1, fill=0.0)


def test_occlusion_of_a_run_finds_the_digit(lenet, digits):
    images, labels = digits.images[:4], digits.labels[:4]
    drops = occlusion(
        lambda x: lenet.probabilities(x)[np.arange(4), labels], images, patch=5, stride=3, fill=0
    )
    middle, corners = drops[:, 1:-1, 1:-1], drops[:, :: drops.shape[1] - 1, :: drops.shape[2] - 1]
    assert middle.max() > 0.2
    assert np.abs(corners).mean() < middle.max() / 2
