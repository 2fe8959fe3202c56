"""Reliability of predictions: calibration, corrupted images, shifted images."""

from cnnlab.analysis.evaluation.calibration import apply_temperature, fit_temperature, reliability
from cnnlab.analysis.evaluation.corruptions import Corrupted
from cnnlab.analysis.evaluation.predictions import in_batches, predict_source
from cnnlab.analysis.evaluation.robustness import robustness as score_severities
from cnnlab.analysis.evaluation.shift_consistency import (
    consistency,
    consistency_map,
    shifted_classes,
)
from cnnlab.cli.analyses.request import AnalysisResult, Request
from cnnlab.report.figures.reliability import plot_reliability
from cnnlab.report.figures.robustness import plot_robustness
from cnnlab.report.figures.shift_map import plot_shift_map
from cnnlab.tasks.build import DEFAULT_METRICS


def calibration(request: Request) -> AnalysisResult:
    """Calibration before and after temperature scaling on the validation split."""
    request.only_classification()
    found = predict_source(request.run, request.source())
    before = reliability(*found)
    panels, numbers = {"as trained": before}, {"ece": before.ece, "nll": before.nll}
    numbers |= {"mce": before.mce, "brier": before.brier}
    if request.split != "validation" and "validation" in request.data.splits:
        held_out = predict_source(request.run, request.source(split="validation"))
        temperature = fit_temperature(*held_out)
        numbers["temperature"] = temperature
        if temperature is not None:
            after = reliability(apply_temperature(found.probabilities, temperature), found.labels)
            panels[f"at temperature {temperature:.2f}, fitted on validation"] = after
            numbers |= {"ece_scaled": after.ece, "nll_scaled": after.nll}
    picture = plot_reliability(panels, title=request.title)
    return AnalysisResult(picture, found._asdict(), numbers)


def robustness(request: Request) -> AnalysisResult:
    """Scores on shifted, noisy, blurred and low-contrast images."""
    source = request.source(1000)
    metric = DEFAULT_METRICS[request.run.config.task]
    curves = score_severities(request.run, source, metric)
    strips = {
        kind: [Corrupted(source, kind, severity)[0]["image"] for severity in curve.severities]
        for kind, curve in curves.items()
    }
    picture = plot_robustness(curves, strips, metric=metric, title=request.title)
    arrays = {f"{kind}_{name}": x for kind, c in curves.items() for name, x in c._asdict().items()}
    numbers = {
        kind: {f"{s:g}": round(float(y), 4) for s, y in zip(*curve, strict=True)}
        for kind, curve in curves.items()
    }
    return AnalysisResult(picture, arrays, {"metric": metric, "examples": len(source), **numbers})


def shift_consistency(request: Request) -> AnalysisResult:
    """How often the predicted class stays the same when the image is shifted."""
    request.only_classification()
    images = request.images(500)
    classes = shifted_classes(in_batches(request.run), images, max_shift=request.max_shift)
    number, shares = consistency(classes), consistency_map(classes)
    title = f"{request.title} {100 * number:.1f} %"
    numbers = {"consistency": number, "max_shift": request.max_shift, "examples": len(images)}
    picture = plot_shift_map(shares, title=title)
    return AnalysisResult(picture, {"classes": classes, "map": shares}, numbers)
