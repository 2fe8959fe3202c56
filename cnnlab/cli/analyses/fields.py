"""Receptive fields of a network's maps: theoretical and effective."""

import numpy as np

from cnnlab.analysis import effective_receptive_field, effective_size, receptive_box
from cnnlab.cli.analyses.request import AnalysisResult, Request, normalised
from cnnlab.errors import UserError
from cnnlab.models import as_network
from cnnlab.models.features import map_names
from cnnlab.report.figures.receptive_fields import Field, plot_receptive_fields

# Maps of the backbone that fit into one picture.
_MOST = 6


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
    if len(names) > _MOST:
        names = [names[i] for i in np.linspace(0, len(names) - 1, _MOST).round().astype(int)]
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
