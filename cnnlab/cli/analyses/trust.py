"""How far answers can be relied on: calibration, worse images, shifted images."""

from cnnlab.analysis.calibration import apply_temperature, fit_temperature, reliability
from cnnlab.analysis.corruptions import Corrupted
from cnnlab.analysis.predictions import in_batches, predict_source
from cnnlab.analysis.robustness import robustness as score_severities
from cnnlab.analysis.shift_consistency import consistency, consistency_map, shifted_classes
from cnnlab.cli.analyses.request import Outcome, Request
from cnnlab.report.reliability import plot_reliability
from cnnlab.report.severity import plot_robustness
from cnnlab.report.shift_map import plot_shift_map
from cnnlab.train.setup import load_data


def calibration(request: Request) -> Outcome:
    """Whether probabilities are true, before and after temperature scaling on validation."""
    request.only_classification()
    found = predict_source(request.run, request.source())
    before = reliability(*found)
    panels, numbers = {"as trained": before}, {"ece": before.ece, "nll": before.nll}
    numbers |= {"mce": before.mce, "brier": before.brier}
    if request.split != "validation" and "validation" in load_data(request.run.config).splits:
        held_out = predict_source(request.run, request.source(split="validation"))
        temperature = fit_temperature(*held_out)
        numbers["temperature"] = temperature
        if temperature is not None:
            after = reliability(apply_temperature(found.probabilities, temperature), found.labels)
            panels[f"at temperature {temperature:.2f}, fitted on validation"] = after
            numbers |= {"ece_scaled": after.ece, "nll_scaled": after.nll}
    picture = plot_reliability(panels, title=request.title)
    return Outcome(picture, found._asdict(), numbers)


def robustness(request: Request) -> Outcome:
    """The score on images that are shifted, noisy, blurred or faint."""
    source = request.source(1000)
    metric = "miou" if request.run.config.task == "segmentation" else "accuracy"
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
    return Outcome(picture, arrays, {"metric": metric, "examples": len(source), **numbers})


def shift_consistency(request: Request) -> Outcome:
    """Whether the class stays the same when the image is shifted."""
    request.only_classification()
    images = request.images(500)
    classes = shifted_classes(in_batches(request.run), images, max_shift=request.max_shift)
    number, shares = consistency(classes), consistency_map(classes)
    title = f"{request.title} {100 * number:.1f} %"
    numbers = {"consistency": number, "max_shift": request.max_shift, "examples": len(images)}
    picture = plot_shift_map(shares, title=title)
    return Outcome(picture, {"classes": classes, "map": shares}, numbers)
