"""Receptive fields on an image: boxes of the theory, heat of the effective ones."""

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

from cnnlab.analysis import effective_receptive_field, receptive_box
from cnnlab.data.sources.digit_scenes import render
from cnnlab.models import create_model
from cnnlab.report.figures.receptive_fields import Field, plot_receptive_fields
from cnnlab.report.style import GREY, new_figure

_SIZE = 96
_LAYERS = ("stride2", "stride4", "stride8", "stride16")
_IMAGES = 2
_LEVELS = ("#a6d3ee", "#a8dccb", "#f6d48f", "#f0b48a")  # of the pyramid, from the image up


def receptive_pyramid() -> Figure:
    """A position after three 3x3 layers, and the positions below that it depends on."""
    layers = ("image", "layer 1", "layer 2", "layer 3")
    side = 9
    with new_figure(7.6, 5.0) as figure:
        axis = figure.subplots()

        def place(row: float, column: float, level: int) -> tuple[float, float]:
            return column + 0.45 * row, 3.0 * level + 0.3 * row

        for level, name in enumerate(layers):
            reach = 3 - level  # rows and columns on each side of the middle
            low, high = side // 2 - reach, side // 2 + reach
            for i, j in np.ndindex(side, side):
                inside = low <= i <= high and low <= j <= high
                corners = [(i, j), (i, j + 1), (i + 1, j + 1), (i + 1, j)]
                axis.add_patch(
                    Polygon(
                        [place(*corner, level) for corner in corners],
                        facecolor=_LEVELS[level] if inside else "none",
                        edgecolor="white" if inside else "#dddddd", linewidth=0.8,
                        zorder=2 * level + inside,
                    )
                )  # fmt: skip
            size = 2 * reach + 1
            text = f"{name}: {size} × {size}" if level < 3 else f"{name}: 1 position"
            axis.text(side + 4.4, 3.0 * level + 1.2, text, fontsize=9.5, va="center")
            if level:
                below = (low - 1, high + 2)
                for a, b in ((0, 0), (0, 1), (1, 0), (1, 1)):
                    top = place((low, high + 1)[a], (low, high + 1)[b], level)
                    foot = place(below[a], below[b], level - 1)
                    axis.plot(*zip(top, foot, strict=True), color=GREY, linewidth=0.7,
                              zorder=2 * level - 1)  # fmt: skip
        axis.set(xlim=(-0.2, side + 9), ylim=(-0.2, 11.9))
        axis.set_axis_off()
    return figure


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
