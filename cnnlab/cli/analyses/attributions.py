"""Explains single images: where the class is seen, and which pixels it needs."""

from functools import partial

import jax
import numpy as np

import cnnlab.analysis.grad_cam as cam
import cnnlab.analysis.integrated_gradients as integrated
import cnnlab.analysis.occlusion as covering
from cnnlab.cli.analyses.request import Outcome, Request, normalised
from cnnlab.errors import UserError, did_you_mean
from cnnlab.report.heat_maps import plot_attributions, plot_heat_maps
from cnnlab.report.overlays import background_class


def grad_cam(request: Request, *, plus_plus: bool = False) -> Outcome:
    """Where the class is seen, by the gradients of a layer's channels."""
    run, images = request.network, request.images(8)
    targets, pixels, captions = find_targets(request, images)
    explain = partial(cam.grad_cam, run.setup.model, layer=request.layer, plus_plus=plus_plus)
    maps = jax.jit(explain)(run.variables, normalised(run, images), targets, pixels=pixels)
    heats = np.asarray(cam.upsample(maps, images.shape[1:3]))
    return _heat_outcome(request, images, heats, captions, {"maps": np.asarray(maps)})


def integrated_gradients(request: Request) -> Outcome:
    """What each pixel adds to the class, on the way from a black image."""
    run, images = request.network, request.images(8)
    targets, pixels, captions = find_targets(request, images)
    black = normalised(run, np.zeros_like(images[:1]))
    values = integrated.integrated_gradients(
        run.setup.model, run.variables, normalised(run, images), targets, black, pixels=pixels
    )
    picture = plot_attributions(images, values.sum(axis=-1), captions, title=request.title)
    arrays = {"images": images, "attributions": values, "targets": targets}
    return Outcome(picture, arrays, {"images": captions})


def occlusion(request: Request) -> Outcome:
    """How much the probability of the class falls where a square is covered."""
    run, images = request.run, request.images(8)
    targets, pixels, captions = find_targets(request, images)
    patch = max(min(images.shape[1:3]) // 5, 1)
    stride = max(patch // 2, 1)

    def score(covered: np.ndarray) -> np.ndarray:
        probabilities = run.probabilities(covered)
        own = np.take_along_axis(
            probabilities, targets.reshape(-1, *[1] * (probabilities.ndim - 1)), axis=-1
        )[..., 0]
        if pixels is None:
            return own
        return (own * pixels).sum(axis=(1, 2)) / np.maximum(pixels.sum(axis=(1, 2)), 1)

    gray = (255 * np.array(run.info.mean)).round().astype(np.uint8)
    drops = covering.occlusion(score, images, patch=patch, stride=stride, fill=gray)
    means = covering.pixel_means(drops, images.shape[1:3], patch=patch, stride=stride)
    peaks = means.max(axis=(1, 2), keepdims=True)
    heats = np.maximum(means, 0) / np.where(peaks > 0, peaks, 1)
    return _heat_outcome(request, images, heats, captions, {"drops": drops})


def find_targets(
    request: Request, images: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None, list[str]]:
    """The class to explain of each image, of segmentation its pixels, and a caption.

    Of segmentation that is the class with the most predicted pixels beside the background; its
    pixels are those that are predicted to be of it.
    """
    names, probabilities = request.run.info.class_names, request.run.probabilities(images)
    if request.target is not None and request.target not in names:
        raise UserError(
            f"--target: there is no class '{request.target}'.{did_you_mean(request.target, names)}"
        )
    chosen = None if request.target is None else names.index(request.target)
    if request.run.config.task == "classification":
        found = probabilities.argmax(-1)
        targets = found if chosen is None else np.full_like(found, chosen)
        shares = probabilities[np.arange(len(images)), targets]
        captions = [f"{names[t]}: {100 * s:.1f} %" for t, s in zip(targets, shares, strict=True)]
        return targets.astype(np.int32), None, captions
    predicted = probabilities.argmax(-1)
    if chosen is None:
        counts = np.stack([(predicted == c).sum((1, 2)) for c in range(len(names))], axis=-1)
        background = background_class(names)
        if background is not None:
            counts[:, background] = np.minimum(counts[:, background], 1)
        targets = counts.argmax(-1)
    else:
        targets = np.full(len(images), chosen)
    inside = predicted == targets[:, None, None]
    captions = [
        f"{names[t]}, {100 * share:.1f} %\nof pixels"
        for t, share in zip(targets, inside.mean((1, 2)), strict=True)
    ]
    return targets.astype(np.int32), inside, captions


def _heat_outcome(
    request: Request,
    images: np.ndarray,
    heats: np.ndarray,
    captions: list[str],
    arrays: dict[str, np.ndarray],
) -> Outcome:

    picture = plot_heat_maps(images, heats, captions, title=request.title)
    return Outcome(picture, {"images": images, "heats": heats, **arrays}, {"images": captions})
