"""Receptive fields on an image: boxes of the theory, heat of the effective ones."""

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from cnnlab.analysis import effective_receptive_field, receptive_box
from cnnlab.data.digit_scenes import render
from cnnlab.models import create_model
from cnnlab.report.receptive_fields import Field, plot_receptive_fields

_SIZE = 96
_LAYERS = ("stride2", "stride4", "stride8", "stride16")
_IMAGES = 2


def receptive_field() -> Figure:
    """VGG-11 with few channels and random weights: field and influence of each stage."""
    model = create_model("vgg11", num_classes=10, width=4, hidden=(16,))
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.normal(size=(_IMAGES, _SIZE, _SIZE, 1)), jnp.float32)
    variables = jax.jit(lambda: model.init(jax.random.key(0), images[:1], train=False))()
    fields = []
    for name in _LAYERS:
        layer = f"backbone/{name}"
        influence = effective_receptive_field(model, variables, images, layer)
        fields.append(Field(layer, receptive_box(model, images.shape[1:], layer), influence))
    scene = render("test", 1, size=_SIZE)[0]
    return plot_receptive_fields(
        scene, fields, title="vgg11: theory, and influence with random weights"
    )
