"""A network as a row of blocks: their sizes, and what each of them costs."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from cnnlab.analysis.cost import Part
from cnnlab.report.style import BLUE, GREEN, GREY, ORANGE, RED, figure_style

_PANELS = (
    ("parameters", "params", BLUE),
    ("MACs", "macs", ORANGE),
    ("activation memory", "activation_bytes", GREEN),
)
_INCHES = 0.42  # of a block and the gap after it
_LABELLED = 0.12  # bars from this share of the largest on tell their share of the total


def plot_architecture(parts: Sequence[Part], *, title: str = "") -> Figure:
    """Blocks from the image to the logits, and below each its share of the cost.

    A block is as tall as its map (its area is seen, not its side, so that small maps stay visible)
    and as wide as the logarithm of its channels; vectors are thin and grey.

    Args:
      parts: see `cnnlab.analysis.network_parts`.
      title: above all.
    """
    count = len(parts)
    with figure_style():
        figure = Figure(figsize=(max(6.0, 1.6 + _INCHES * count), 5.4), layout="constrained")
        figure.get_layout_engine().set(h_pad=0.02)
        top, *below = figure.subplots(4, 1, sharex=True, height_ratios=(3.2, 1, 1, 1))
        figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
        _draw_blocks(top, parts)
        for axis, (label, field, color) in zip(below, _PANELS, strict=True):
            values = np.array([getattr(part, field) for part in parts], float)
            _draw_shares(axis, values, label, color)
        below[-1].set_xticks(
            range(count), [_short(part.name) for part in parts], rotation=60, ha="right", fontsize=8
        )
        below[-1].set_xlim(-0.7, count - 0.3)
    return figure


def _draw_blocks(axis: Axes, parts: Sequence[Part]) -> None:
    maps = [part for part in parts if len(part.output_shape) > 1]
    tallest = max((part.output_shape[0] for part in maps), default=1)
    widest = np.log2(2 + max(part.output_shape[-1] for part in parts))
    for x, part in enumerate(parts):
        shape = part.output_shape
        is_map = len(shape) > 1
        height = np.sqrt(shape[0] / tallest) if is_map else 0.25
        width = 0.85 * np.log2(2 + shape[-1]) / widest if is_map else 0.16
        color = BLUE if part.name.startswith("backbone") else RED
        axis.add_patch(
            Rectangle(
                (x - width / 2, 0.5 - height / 2),
                width,
                height,
                facecolor=color if is_map else GREY,
                edgecolor="white",
                alpha=0.85,
            )
        )
        size = "×".join(map(str, shape))
        axis.text(
            x, 0.53 + height / 2, size, rotation=60, fontsize=7, va="bottom", rotation_mode="anchor"
        )
    axis.set_ylim(-0.02, 1.6)
    axis.set_axis_off()


def _draw_shares(axis: Axes, values: np.ndarray, label: str, color: str) -> None:
    total = max(values.sum(), 1)
    axis.bar(range(len(values)), values, color=color, width=0.75)
    for x, value in enumerate(values):
        if value > _LABELLED * values.max():
            axis.text(
                x, value, f"{100 * value / total:.0f} %", ha="center", va="bottom", fontsize=7
            )
    axis.set_ylim(0, 1.3 * max(values.max(), 1))
    axis.set_yticks([])
    axis.grid(False)
    axis.set_ylabel(
        f"{label}\n{_count(total, label)}", rotation=0, ha="right", va="center", fontsize=8
    )


def _count(total: float, label: str) -> str:
    if "memory" in label:
        return f"{total / 2**20:.3g} MiB" if total >= 2**20 else f"{total / 2**10:.3g} KiB"
    for divisor, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if total >= divisor:
            return f"{total / divisor:.3g}{unit}"
    return f"{total:.0f}"


def _short(name: str) -> str:
    return name.split("/", 1)[-1].replace("stage", "s").replace("block", "b")
