"""Explanations of single images: which regions and pixels support a class."""

from functools import partial

import jax
import numpy as np

import cnnlab.analysis.attribution.grad_cam as cam
import cnnlab.analysis.attribution.integrated_gradients as integrated
import cnnlab.analysis.attribution.occlusion as covering
from cnnlab.cli.analyses.request import AnalysisResult, Request, normalised
from cnnlab.errors import UserError, did_you_mean
from cnnlab.report.figures.heat_maps import plot_attributions, plot_heat_maps
from cnnlab.report.label_pixels import background_class

# Maps of a class with a smaller probability, and falls of it by less, have no full colour.
_FAINT = 0.1


def grad_cam(request: Request, *, plus_plus: bool = False) -> AnalysisResult:
    """Grad-CAM: regions of a layer's maps that support the class."""
    run, images = request.network, request.images(8)
    targets, pixels, captions = find_targets(request, images)
    explain = partial(cam.grad_cam, run.experiment.model, layer=request.layer, plus_plus=plus_plus)
    maps = jax.jit(explain)(run.variables, normalised(run, images), targets, pixels=pixels)
    heats = np.asarray(cam.upsample(maps, images.shape[1:3]))
    heats = heats * _trust(request, images, targets)
    return _heat_outcome(
        request, images, heats, captions, {"maps": np.asarray(maps)},
        label="share of the map's largest value",
    )  # fmt: skip


def integrated_gradients(request: Request) -> AnalysisResult:
    """Contribution of each pixel to the class, integrated from a black image."""
    run, images = request.network, request.images(8)
    targets, pixels, captions = find_targets(request, images)
    black = normalised(run, np.zeros_like(images[:1]))
    values = integrated.integrated_gradients(
        run.experiment.model, run.variables, normalised(run, images), targets, black, pixels=pixels
    )
    picture = plot_attributions(images, values.sum(axis=-1), captions, title=request.title)
    arrays = {"images": images, "attributions": values, "targets": targets}
    return AnalysisResult(picture, arrays, {"images": captions})


def occlusion(request: Request) -> AnalysisResult:
    """Decrease of the class's probability when a square is covered."""
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

    low, high = run.info.value_range
    gray = low + (high - low) * np.array(run.info.mean)
    gray = (gray if run.info.dtype == "float32" else gray.round()).astype(run.info.dtype)
    drops = covering.occlusion(score, images, patch=patch, stride=stride, fill=gray)
    means = covering.pixel_means(drops, images.shape[1:3], patch=patch, stride=stride)
    heats = np.maximum(means, 0)
    return _heat_outcome(
        request, images, heats, captions, {"drops": drops},
        limit=max(float(heats.max()), _FAINT), label="fall of the probability when covered",
    )  # fmt: skip


def find_targets(
    request: Request, images: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None, list[str]]:
    """The class to explain in each image, its pixels for segmentation, and a caption.

    For segmentation, the class with the most predicted pixels other than the background, and
    those pixels.
    """
    names, probabilities = request.run.info.class_names, request.run.probabilities(images)
    if request.target is not None and request.target not in names:
        raise UserError(
            f"--target: there is no class '{request.target}'.{did_you_mean(request.target, names)}"
        )
    chosen = None if request.target is None else names.index(request.target)
    if request.run.config.task != "segmentation":
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


def _trust(request: Request, images: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """A factor for each map, [batch, 1, 1]: below 1 for classes that are as good as ruled out.

    Without it, the map of a class of probability 0 would be as bright as that of the answer.
    """
    if request.run.config.task == "segmentation":
        return np.ones((len(images), 1, 1))
    own = request.run.probabilities(images)[np.arange(len(images)), targets]
    return np.minimum(own / _FAINT, 1.0)[:, None, None]


def _heat_outcome(
    request: Request,
    images: np.ndarray,
    heats: np.ndarray,
    captions: list[str],
    arrays: dict[str, np.ndarray],
    *,
    limit: float = 1.0,
    label: str,
) -> AnalysisResult:

    picture = plot_heat_maps(images, heats, captions, limit=limit, label=label, title=request.title)
    return AnalysisResult(
        picture, {"images": images, "heats": heats, **arrays}, {"images": captions}
    )
