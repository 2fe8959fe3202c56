"""Analyses of many examples: maps, mistakes, confusions."""

from typing import Any

import numpy as np

from cnnlab.analysis import embedding
from cnnlab.analysis.evaluation.confusion import most_confused
from cnnlab.analysis.evaluation.predictions import (
    most_confident,
    predict_source,
    segment_example,
    wrong_pixels,
)
from cnnlab.classical import ClassicalRun
from cnnlab.cli.analyses.request import AnalysisResult, Request
from cnnlab.errors import UserError
from cnnlab.report.figures.embedding import plot_embedding
from cnnlab.report.figures.examples import plot_examples
from cnnlab.report.figures.overlays import panel
from cnnlab.report.figures.run import plot_confusion_matrix

_MAPPED = 2000  # examples on a map, unless more or fewer are asked for


def pca(request: Request) -> AnalysisResult:
    """Projection of the examples onto the two principal components of largest variance."""
    features, labels = _embed(request)
    positions, shares = embedding.pca(features)
    axes = tuple(f"component {n}: {100 * s:.1f} % of variance" for n, s in enumerate(shares, 1))
    return _map_outcome(request, positions, labels, axes, {"variance": shares.round(4).tolist()})


def tsne(request: Request) -> AnalysisResult:
    """Map of the examples by t-SNE, which keeps neighbours together."""
    features, labels = _embed(request)
    return _map_outcome(request, embedding.tsne(features), labels, ("", ""), {})


def mistakes(request: Request) -> AnalysisResult:
    """The most confident mistakes; for segmentation, the images with most wrong pixels."""
    request.not_multilabel()
    run, source, names = request.run, request.source(), request.run.info.class_names
    if run.config.task == "segmentation":
        shares = wrong_pixels(run, source)
        worst = np.argsort(-shares, kind="stable")[:6]
        scenes = [segment_example(run, source, number) for number in worst]
        picture = panel(*zip(*scenes, strict=True), names)
        worst_images = {
            name: round(float(shares[number]), 4)
            for name, number in zip(request.names(worst), worst, strict=True)
        }
        return AnalysisResult(picture, {"wrong_pixels": shares}, {"worst_images": worst_images})
    found = predict_source(run, source)
    answers = found.probabilities.argmax(-1)
    worst = most_confident(found, 24)
    if not len(worst):
        raise UserError(
            f"There is no mistake to show: all {len(source)} examples of the {request.split} split "
            "are right."
        )
    picture = plot_examples(
        [source[int(number)]["image"] for number in worst],
        [names[label] for label in found.labels[worst]],
        [names[answer] for answer in answers[worst]],
        found.probabilities[worst].max(-1),
        title=f"{request.title}, surest first",
    )
    surest = {
        name: {"class": names[found.labels[number]], "answer": names[answers[number]]}
        for name, number in zip(request.names(worst), worst, strict=True)
    }
    numbers = {"mistakes": int((answers != found.labels).sum()), "examples": len(source)}
    numbers["surest"] = surest
    return AnalysisResult(picture, found._asdict() | {"mistakes": worst}, numbers)


def confusion(request: Request) -> AnalysisResult:
    """The confusion matrix."""
    request.not_multilabel()
    names, segmentation = request.run.info.class_names, request.run.config.task == "segmentation"
    counts = request.run.sums(request.source())["confusion"]
    picture = plot_confusion_matrix(counts, names, title=request.title, percent=segmentation)
    pairs = [[names[i], names[j], count] for i, j, count in most_confused(counts, 10)]
    return AnalysisResult(picture, {"confusion": counts}, {"most_confused": pairs})


def _embed(request: Request) -> tuple[np.ndarray, np.ndarray]:

    request.only_classification()
    source = request.source(_MAPPED)
    if isinstance(request.run, ClassicalRun):
        features, labels = zip(*request.run.hog.over(source), strict=True)
        return np.concatenate(features), np.concatenate(labels)
    return embedding.embed(request.network, source)


def _map_outcome(
    request: Request,
    positions: np.ndarray,
    labels: np.ndarray,
    axes: tuple[str, ...],
    numbers: dict[str, Any],
) -> AnalysisResult:

    names = request.run.info.class_names
    title = f"{request.title} of {len(labels)} {request.split} examples"
    found = predict_source(request.run, request.source(_MAPPED))
    wrong = found.probabilities.argmax(-1) != labels
    picture = plot_embedding(positions, labels, names, wrong=wrong, axis_labels=axes, title=title)
    return AnalysisResult(
        picture,
        {"positions": positions, "labels": labels, "wrong": wrong},
        {"examples": len(labels), "mistakes": int(wrong.sum()), **numbers},
    )
