"""A network as a row of blocks with sizes, poolings, connections and costs."""

from collections.abc import Sequence

import flax.linen as nn
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path

from cnnlab.analysis.cost import Part, network_parts
from cnnlab.analysis.graph import IMAGE, Node, network_graph
from cnnlab.analysis.summary import summarize
from cnnlab.errors import UserError
from cnnlab.report.style import BLUE, GREEN, GREY, ORANGE, RED, new_figure
from cnnlab.units import short_count, short_size

_PANELS = (
    ("parameters", "params", BLUE, short_count),
    ("MACs", "macs", ORANGE, short_count),
    ("activation memory", "activation_bytes", GREEN, short_size),
)
_INCHES = 0.42  # of a block and the gap after it
_LABELLED = 0.12  # bars from this share of the largest on tell their share of the total
_INSIDE = {
    "add": (RED, "shortcut inside of a block: its input is added to its output"),
    "concatenate": ("#7a5cc2", "paths inside of a block, concatenated"),
}


def draw_network(model: nn.Module, image_shape: tuple[int, int, int], *, title: str = "") -> Figure:
    """`plot_architecture` of a network at a size of images, [height, width, channels].

    Raises:
      UserError: the network has no part with weights.
    """
    parts = network_parts(summarize(model, image_shape))
    nodes = network_graph(model, image_shape, [part.name for part in parts])
    if not nodes:
        raise UserError(f"{type(model).__name__} has no parts with weights that could be drawn.")
    return plot_architecture(parts, nodes, title=title)


def plot_architecture(parts: Sequence[Part], nodes: Sequence[Node], *, title: str = "") -> Figure:
    """Draws blocks from the image to the logits, each with its share of the cost.

    The area of a block grows with its map's size and its width with the logarithm of its channels;
    vectors are thin and gray. Poolings are narrow and green. Lines below the blocks are connections
    to later blocks.

    Args:
      parts: parts from `cnnlab.analysis.network_parts`.
      nodes: nodes from `cnnlab.analysis.graph.network_graph`.
      title: title of the figure.
    """
    places = np.cumsum([0.8 if node.kind == "part" else 0.6 for node in nodes]) * 1.25
    costs = {part.name: part for part in parts}
    length = places[-1] - places[0] + 2
    with new_figure(max(6.4, 1.6 + _INCHES * length), 6.0, title) as figure:
        figure.get_layout_engine().set(h_pad=0.02)
        top, *below = figure.subplots(4, 1, sharex=True, height_ratios=(4.2, 1, 1, 1))
        _draw_blocks(top, nodes, places)
        shown = [x for x, node in zip(places, nodes, strict=True) if node.name]
        for axis, (label, field, color, text) in zip(below, _PANELS, strict=True):
            values = [getattr(costs[node.name], field) for node in nodes if node.name]
            total = sum(getattr(part, field) for part in parts)
            _draw_shares(axis, shown, np.array(values, float), total, color)
            axis.set_ylabel(
                f"{label}\n{text(total)}", rotation=0, ha="right", va="center", fontsize=8
            )
        below[-1].set_xticks(places, _labels(nodes), rotation=60, ha="right", fontsize=8)
        for tick, node in zip(below[-1].get_xticklabels(), nodes, strict=True):
            tick.set_color("black" if node.name else GREEN)
        below[-1].set_xlim(places[0] - 1, places[-1] + 1)
        inside = {node.joins for node in nodes} - {""}
        handles = [Line2D([], [], color=_INSIDE[x][0], label=_INSIDE[x][1]) for x in inside]
        if handles:
            figure.legend(handles=handles, loc="outside lower left", fontsize=8)
    return figure


def _labels(nodes: Sequence[Node]) -> list[str]:
    """Names without what stands before the first slash, where they are unique without it."""
    short = [node.name.split("/", 1)[-1] for node in nodes]
    return [
        node.kind if not node.name else node.name if short.count(text) > 1 else text
        for node, text in zip(nodes, short, strict=True)
    ]


def _draw_blocks(axis: Axes, nodes: Sequence[Node], places: np.ndarray) -> None:
    maps = [node.output_shape for node in nodes if len(node.output_shape) > 1]
    tallest = max((shape[0] for shape in maps), default=1)
    widest = np.log2(2 + max(node.output_shape[-1] for node in nodes))
    corners = []  # left, right and lower edge of each block
    for x, node in zip(places, nodes, strict=True):
        shape = node.output_shape
        is_map = len(shape) > 1
        height = np.sqrt(shape[0] / tallest) if is_map else 0.25
        width = 0.85 * np.log2(2 + shape[-1]) / widest if is_map else 0.16
        width, color = (width, BLUE) if node.name.startswith("backbone") else (width, RED)
        if not node.name:
            width, color = 0.2, GREEN
        lower = 0.5 - height / 2
        axis.add_patch(
            Rectangle((x - width / 2, lower), width, height,
                      facecolor=color if is_map or not node.name else GREY, edgecolor="white",
                      alpha=0.85)
        )  # fmt: skip
        corners.append((x - width / 2, x + width / 2, lower))
        if node.joins:
            _arc(axis, (x - width / 2, lower), (x + width / 2, lower), 0.1,
                 _INSIDE[node.joins][0])  # fmt: skip
        size = "×".join(map(str, shape))
        axis.text(x, 0.53 + height / 2, size, rotation=60, fontsize=7, va="bottom",
                  rotation_mode="anchor")  # fmt: skip
    depth = 0.1 if any(node.joins for node in nodes) else 0.0
    for number, node in enumerate(nodes):
        for source in node.inputs:
            if source == number - 1 or source == IMAGE:
                left = corners[source][1] if source != IMAGE else corners[number][0] - 0.3
                axis.plot([left, corners[number][0]], [0.5, 0.5], color=GREY, linewidth=1.1)
            else:
                drop = 0.12 + 0.05 * (number - source)
                depth = max(depth, drop)
                ends = [(np.mean(corners[n][:2]), corners[n][2]) for n in (source, number)]
                _arc(axis, *ends, drop, GREY)
    axis.set_ylim(-0.05 - depth, 1.6)
    axis.set_axis_off()


def _arc(
    axis: Axes, start: tuple[float, float], end: tuple[float, float], drop: float, color: str
) -> None:
    """A line that descends below two points and connects them."""
    floor = min(start[1], end[1]) - drop
    path = Path([start, (start[0], floor), (end[0], floor), end],
                [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4])  # fmt: skip
    axis.add_patch(PathPatch(path, facecolor="none", edgecolor=color, linewidth=1.2))


def _draw_shares(
    axis: Axes, places: Sequence[float], values: np.ndarray, total: int, color: str
) -> None:
    total = max(total, 1)
    bars = axis.bar(places, values, color=color, width=0.75)
    least = _LABELLED * values.max()
    texts = [f"{100 * x / total:.0f} %" if x > least else "" for x in values]
    axis.bar_label(bars, texts, fontsize=7)
    axis.set_ylim(0, 1.3 * max(values.max(), 1))
    axis.set_yticks([])
    axis.grid(False)
