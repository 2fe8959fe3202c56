"""Analyses of a network's layers: filters, feature maps, statistics, receptive fields."""

from functools import partial

import jax
import numpy as np

import cnnlab.analysis.feature_maps as maps_of
from cnnlab.analysis import effective_receptive_field, effective_size, receptive_box
from cnnlab.analysis.filters import first_filters
from cnnlab.analysis.statistics import layer_statistics
from cnnlab.cli.analyses.request import AnalysisResult, Request, normalised
from cnnlab.errors import UserError
from cnnlab.models import as_network
from cnnlab.models.features import map_names
from cnnlab.report.figures.feature_maps import plot_feature_maps, plot_filters
from cnnlab.report.figures.layer_statistics import plot_layer_statistics
from cnnlab.report.figures.receptive_fields import Field, plot_receptive_fields

_MOST_FIELDS = 6  # maps of the backbone that fit into one picture


def filters(request: Request) -> AnalysisResult:
    """The kernels of the first layer."""
    run = request.network
    found = first_filters(run.experiment.model, run.variables, run.info.image_shape)
    picture = plot_filters(found, title=f"{request.title}, {found.layer}")
    numbers = {"layer": found.layer, "filters": len(found.kernels)}
    return AnalysisResult(picture, {"kernels": found.kernels}, numbers)


def feature_maps(request: Request) -> AnalysisResult:
    """The feature maps of the backbone, or of --layer, for one image."""
    if len(request.paths) > 1:
        raise UserError(f"feature_maps shows one image, and {len(request.paths)} are given.")
    run, images = request.network, request.images(1)[:1]
    compute = jax.jit(partial(maps_of.feature_maps, run.experiment.model, layer=request.layer))
    found = jax.device_get(compute(run.variables, normalised(run, images)))
    # JAX has sorted the maps by name; the finest comes first.
    found = dict(sorted(found.items(), key=lambda item: -item[1].shape[1]))
    maps = {name: values[0] for name, values in found.items()}
    picture = plot_feature_maps(images[0], maps, title=request.title)
    return AnalysisResult(
        picture, maps, {"maps": {name: list(x.shape) for name, x in maps.items()}}
    )


def statistics(request: Request) -> AnalysisResult:
    """Activations and gradients of each layer, over a batch."""
    run, source = request.network, request.source(64)
    examples = [source[number] for number in range(len(source))]
    batch = {
        "image": np.stack([example["image"] for example in examples]),
        "label": np.stack([example["label"] for example in examples]),
        "mask": np.ones(len(examples), np.float32),
    }
    normalised = run.experiment.normalize()(batch)
    found = layer_statistics(run.experiment.model, run.variables, normalised, run.task.loss)
    picture = plot_layer_statistics(found, title=f"{request.title} of layers, {len(source)} images")
    arrays = found._asdict() | {"names": np.array(found.names)}
    most_off = int(found.off.argmax())
    numbers = {
        "layers": len(found.names),
        "most_off": {found.names[most_off]: round(float(found.off[most_off]), 4)},
        "gradient_first_to_last": float(found.gradient[0] / max(found.gradient[-1], 1e-30)),
    }
    return AnalysisResult(picture, arrays, numbers)


def receptive_field(request: Request) -> AnalysisResult:
    """Receptive field of the center of each map, or of --layer, averaged over images."""
    run, images = request.network, request.images(4)
    model, shape = run.experiment.model, run.info.image_shape
    if len(shape) != 3:
        raise UserError("receptive_field needs images, and this run has volumes.")
    if request.layer:
        names = [request.layer]
    else:
        network = as_network(model, "receptive_field, unless a layer is named,")
        names = [f"backbone/{name}" for name in map_names(network.backbone.strides)]
    if len(names) > _MOST_FIELDS:
        names = [names[i] for i in np.linspace(0, len(names) - 1, _MOST_FIELDS).round().astype(int)]
    fields = [
        Field(
            name,
            receptive_box(model, shape, name),
            effective_receptive_field(model, run.variables, normalised(run, images), name),
        )
        for name in names
    ]
    numbers = {
        field.layer.removeprefix("backbone/"): {
            "height": field.box.stop[0] - field.box.start[0],
            "width": field.box.stop[1] - field.box.start[1],
            "effective": round(effective_size(field.influence), 1),
            "sees_whole_image": field.box.sees_whole_image,
        }
        for field in fields
    }
    arrays = {field.layer: field.influence for field in fields}
    picture = plot_receptive_fields(images[0], fields, title=request.title)
    return AnalysisResult(picture, arrays, {"fields": numbers})
