"""The parts of a report that need a run's weights and data."""

import base64
import dataclasses
import io
from collections.abc import Callable
from functools import partial

import jax
import numpy as np
from matplotlib.colors import rgb2hex
from matplotlib.figure import Figure
from PIL import Image

from cnnlab.analysis.attribution.grad_cam import grad_cam, upsample
from cnnlab.analysis.evaluation.calibration import Reliability, fit_temperature, reliability
from cnnlab.analysis.evaluation.predictions import (
    Predictions,
    most_confident,
    predict_source,
    segment_example,
    spread_over,
    wrong_pixels,
)
from cnnlab.analysis.filters import first_filters
from cnnlab.data import Dataset, Source
from cnnlab.errors import UserError
from cnnlab.inference.run import Run, TrainedRun
from cnnlab.report.figures.architecture import draw_network
from cnnlab.report.figures.overlays import mark_wrong
from cnnlab.report.figures.reliability import plot_reliability
from cnnlab.report.label_pixels import background_class, overlay
from cnnlab.report.palette import IGNORE, make_palette
from cnnlab.report.pixels import filter_images, heat_overlay, rgb

_EXAMPLES = 12  # of each kind, right and wrong
_JUDGED = 2000  # examples that are looked through for them
_SCENES = 6
_FILTERS = 64
_LOSSLESS_SIDE = 96  # of pictures
_LARGEST_SIDE = 256


@dataclasses.dataclass(frozen=True)
class Example:
    """One example of the test split.

    Attributes:
      pictures: data URIs by description.
      truth: name of its true class; empty for segmentation.
      answer: name of its predicted class; empty for segmentation.
      share: probability of the predicted class or, for segmentation, share of wrong pixels.
    """

    pictures: dict[str, str]
    truth: str
    answer: str
    share: float


@dataclasses.dataclass
class Inside:
    """Pictures and numbers of one run; unavailable parts are empty and explained in `notes`.

    Attributes:
      wrong: most confident mistakes; for segmentation, images with most wrong pixels.
      right: some correct examples; for segmentation, those with fewest wrong pixels.
      judged: number of examples that they were chosen from.
      legend: for segmentation, name and color `#rrggbb` of each class that is shown.
      network: picture of its blocks, as a data URI.
      filters: pictures of the first layer's filters, as data URIs.
      filters_layer: name of that layer.
      filters_large: whether they are as large as images, as for a dense layer.
      calibration: reliability on the test split, for classification.
      diagram: its reliability diagram, as a data URI.
      temperature: most likely temperature on the validation split; None without such a split or
        without a mistake on it.
      notes: a sentence for each unavailable part.
    """

    wrong: list[Example] = dataclasses.field(default_factory=list)
    right: list[Example] = dataclasses.field(default_factory=list)
    judged: int = 0
    legend: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    network: str = ""
    filters: list[str] = dataclasses.field(default_factory=list)
    filters_layer: str = ""
    filters_large: bool = False
    calibration: Reliability | None = None
    diagram: str = ""
    temperature: float | None = None
    notes: list[str] = dataclasses.field(default_factory=list)


def look_inside(run: Run, dataset: Dataset) -> Inside:
    """Computes examples with Grad-CAM, filters and calibration of a run on its test split."""
    source = spread_over(dataset.splits["test"], _JUDGED)
    inside = Inside(judged=len(source))
    if run.config.task == "segmentation":
        _add_scenes(inside, run, source)
    elif run.config.task == "multilabel":
        inside.notes.append(
            "Images with several classes have no single answer to draw or to calibrate."
        )
    else:
        predictions = predict_source(run, source)
        _add_examples(inside, run, source, predictions)
        inside.calibration = reliability(*predictions)
        inside.diagram = _figure_uri(plot_reliability({"": inside.calibration}))
        if "validation" in dataset.splits:
            held_out = spread_over(dataset.splits["validation"], _JUDGED)
            inside.temperature = fit_temperature(*predict_source(run, held_out))
    if not isinstance(run, TrainedRun):
        inside.notes.append(
            "A classical baseline has neither filters that are learnt nor Grad-CAM."
        )
        return inside
    try:
        inside.network = _figure_uri(draw_network(run.experiment.model, run.info.image_shape))
        filters = first_filters(run.experiment.model, run.variables, run.info.image_shape)
        images = filter_images(filters.kernels[:_FILTERS])
        inside.filters = [_data_uri(image) for image in images]
        inside.filters_layer = filters.layer
        inside.filters_large = images[0].shape[0] > 16
    except UserError as error:
        inside.notes.append(str(error))
    return inside


def _add_examples(inside: Inside, run: Run, source: Source, predictions: Predictions) -> None:
    wrong = most_confident(predictions, _EXAMPLES)
    right = _one_of_each(predictions, _EXAMPLES)
    names, answers = run.info.class_names, predictions.probabilities.argmax(-1)
    chosen = np.concatenate([wrong, right]).astype(int)
    images = np.stack([source[int(number)]["image"] for number in chosen])
    heats = _heats(inside, run, images, answers[chosen])
    for place, number in enumerate(chosen):
        pictures = {"image": _data_uri(rgb(images[place]))}
        if heats is not None:
            pictures["Grad-CAM"] = _data_uri(heat_overlay(images[place], heats[place]))
        truth, answer = names[predictions.labels[number]], names[answers[number]]
        share = float(predictions.probabilities[number].max())
        examples = inside.wrong if place < len(wrong) else inside.right
        examples.append(Example(pictures, truth, answer, share))


def _one_of_each(predictions: Predictions, count: int) -> np.ndarray:
    """Correct examples, class by class in turn, in the order of the split."""
    right = np.flatnonzero(predictions.probabilities.argmax(-1) == predictions.labels)
    labels = predictions.labels[right]
    # How many of its class come before each; the first of every class, then the second, ...
    turn = np.array([(labels[:place] == label).sum() for place, label in enumerate(labels)], int)
    return right[np.lexsort((labels, turn))][:count]


def _heats(inside: Inside, run: Run, images: np.ndarray, targets: np.ndarray) -> np.ndarray | None:
    if not isinstance(run, TrainedRun):
        return None
    normalised = run.experiment.normalize()({"image": images})["image"]
    try:
        maps = jax.jit(partial(grad_cam, run.experiment.model))(
            run.variables, normalised, targets.astype(np.int32)
        )
    except UserError as error:
        inside.notes.append(str(error))
        return None
    return np.asarray(upsample(maps, images.shape[1:3]))


def _add_scenes(inside: Inside, run: Run, source: Source) -> None:
    shares = wrong_pixels(run, source)
    order = np.argsort(-shares, kind="stable")
    worst = order[:_SCENES]
    best = order[::-1][: min(_SCENES, max(len(order) - len(worst), 0))]
    names = run.info.class_names
    background = background_class(names)
    palette = make_palette(background)
    shown: set[int] = set()

    def scene(number: int) -> Example:
        image, truth, predicted = segment_example(run, source, number)
        shown.update(np.unique(truth).tolist(), np.unique(predicted).tolist())
        draw = partial(overlay, image, palette=palette, background=background)
        pictures = {
            "image": rgb(image),
            "truth": draw(truth),
            "prediction": draw(predicted),
            "wrong": mark_wrong(image, (truth != predicted) & (truth != IGNORE)),
        }
        uris = {name: _data_uri(pixels) for name, pixels in pictures.items()}
        return Example(uris, "", "", float(shares[number]))

    inside.wrong, inside.right = list(map(scene, worst)), list(map(scene, best))
    inside.legend = [
        ("ignored" if label == IGNORE else names[label], rgb2hex(palette[label] / 255))
        for label in sorted(shown)
    ]


def _data_uri(pixels: np.ndarray) -> str:
    """Encodes a picture, uint8 [height, width, 3]: PNG if small, else JPEG of at most 256 pixels.

    Small pictures are enlarged by the page, pixel by pixel, and must not be blurred by JPEG.
    """
    image = Image.fromarray(np.ascontiguousarray(pixels))
    if max(image.size) <= _LOSSLESS_SIDE:
        return _uri("png", partial(image.save, optimize=True))
    image.thumbnail((_LARGEST_SIDE, _LARGEST_SIDE))
    return _uri("jpeg", partial(image.save, quality=88))


def _figure_uri(figure: Figure) -> str:
    return _uri("png", partial(figure.savefig, dpi=110))


def _uri(kind: str, save: Callable[..., None]) -> str:
    stream = io.BytesIO()
    save(stream, format=kind)
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode()}"
