"""What each map of a network sees of an image: in theory, and how strongly in truth."""

import numpy as np

from cnnlab.analysis import effective_receptive_field, effective_size, receptive_box
from cnnlab.cli.analyses.request import Outcome, Request, normalised
from cnnlab.errors import UserError
from cnnlab.models.features import map_names
from cnnlab.report.receptive_fields import Field, plot_receptive_fields

# Maps of the backbone that fit into one picture.
_MOST = 6


def receptive_field(request: Request) -> Outcome:
    """The middle position of the backbone's maps, or of --layer; influence averaged over images."""
    run, images = request.network, request.images(4)
    model, shape = run.setup.model, run.info.image_shape
    if len(shape) != 3:
        raise UserError("receptive_field draws on images, and this run is of volumes.")
    names = [f"backbone/{name}" for name in map_names(model.backbone.strides)]
    if request.layer:
        names = [request.layer]
    elif len(names) > _MOST:
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
    return Outcome(picture, arrays, {"fields": numbers})
