"""The kinds of `launch.py analyze`: each computes arrays and numbers of a run and draws them."""

from collections.abc import Callable
from functools import partial

from cnnlab.cli.analyses.attributions import grad_cam, integrated_gradients, occlusion
from cnnlab.cli.analyses.examples import confusion, mistakes, pca, tsne
from cnnlab.cli.analyses.layers import feature_maps, filters, receptive_field, statistics
from cnnlab.cli.analyses.request import AnalysisResult, Request
from cnnlab.cli.analyses.trust import calibration, robustness, shift_consistency

KINDS: dict[str, Callable[[Request], AnalysisResult]] = {
    "filters": filters,
    "feature_maps": feature_maps,
    "statistics": statistics,
    "receptive_field": receptive_field,
    "grad_cam": grad_cam,
    "grad_cam_plus_plus": partial(grad_cam, plus_plus=True),
    "integrated_gradients": integrated_gradients,
    "occlusion": occlusion,
    "pca": pca,
    "tsne": tsne,
    "mistakes": mistakes,
    "confusion": confusion,
    "calibration": calibration,
    "robustness": robustness,
    "shift_consistency": shift_consistency,
}

# Those that look at single images, which a user may give.
OF_IMAGES = (
    "feature_maps", "grad_cam", "grad_cam_plus_plus", "integrated_gradients", "occlusion",
    "receptive_field", "shift_consistency",
)  # fmt: skip
