"""U-Net drawn as a U with its skips, and what its variations change."""

import itertools
from collections.abc import Callable

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cnnlab.course.figures.networks.flow import (
    CONV,
    DATA,
    DENSE,
    NORM,
    POOL,
    SUM,
    draw_arrow,
    draw_box,
    draw_path,
    prepare,
)
from cnnlab.report.style import BLUE, GREEN, GREY, ORANGE, RED, new_figure


def unet_u() -> Figure:
    """The network of `unet`, for 256x256 images: five levels, four skips."""
    with new_figure(9.0, 5.2) as figure:
        axis = figure.subplots()
        prepare(axis, (-3.4, 15.9), (-5.9, 1.5))
        draw = dict(width=1.9, height=0.62, fontsize=8)
        left, right = [], []
        for n in range(5):
            side, channels = 256 >> n, 64 << n
            text = f"{side}×{side}×{channels}"
            x, y = (1.1 * n, -1.25 * n) if n < 4 else (6.0, -5.0)
            left.append(draw_box(axis, x, y, text, CONV, **draw))
            if n < 4:
                right.append(draw_box(axis, 12.0 - x, y, text, CONV, **draw))
                skip = draw_box(axis, 9.4 - x, y, f"join: {2 * channels}", SUM, width=1.7,
                                height=0.62, fontsize=8)  # fmt: skip
                draw_arrow(axis, left[n].right, skip.left, color=GREY)
                draw_arrow(axis, skip.right, right[n].left, color=BLUE)
                axis.text((left[n].right[0] + skip.left[0]) / 2, y + 0.08, "skip", ha="center",
                          fontsize=8, color=GREY)  # fmt: skip
        for upper, lower in itertools.pairwise(left):
            if lower is left[-1]:
                draw_path(axis, [upper.bottom, (upper.x, lower.y), lower.left], color=RED)
            else:
                draw_arrow(axis, (upper.x, upper.bottom[1]), (lower.x - 0.5, lower.top[1]),
                           color=RED)  # fmt: skip
        chain = [*right, left[-1]]
        for n, (upper, lower) in enumerate(itertools.pairwise(chain)):
            target = (9.4 - 1.1 * n, upper.bottom[1])
            if lower is left[-1]:
                draw_arrow(axis, lower.top, (target[0] - 0.1, target[1]), color=GREEN)
            else:
                draw_arrow(axis, (lower.x - 0.5, lower.top[1]), target, color=GREEN)
        image = draw_box(axis, -1.9, 0.95, "image, 256×256×1", DATA, width=2.6, height=0.6)
        draw_path(axis, [image.right, (0.0, image.y), left[0].top])
        logits = draw_box(axis, 14.3, 0.95, "logits, 256×256×2", DATA, width=2.8, height=0.6)
        draw_path(axis, [right[0].top, (12.0, logits.y), logits.left])
        for x, text, color in (
            (-3.3, "blue: two 3×3 convolutions", BLUE),
            (2.0, "red: 2×2 max pooling", RED),
            (9.0, "green: 2×2 transposed convolution", GREEN),
        ):
            axis.text(x, -5.8, text, fontsize=8.5, color=color)
    return figure


def unet_variations() -> Figure:
    """Small U-Nets, each with what one variation adds in colour."""
    panels: tuple[tuple[str, str, Callable[[Axes], None]], ...] = (
        ("U-Net", "joins maps of one level", _plain),
        ("U-Net++", "fills the gap with nodes", _nested),
        ("UNet 3+", "every level feeds each decoder", _full_scale),
        ("Attention U-Net, MA-Net", "gates weight the skips", _gates),
        ("ResUNet, R2U-Net", "residual, recurrent blocks", _residual),
        ("U²-Net", "each block is a U itself", _nested_u),
        ("LinkNet", "adds the skip, joins nothing", _added),
        ("TransUNet, Swin-Unet", "attention at the bottom", _transformer),
    )
    with new_figure(9.6, 5.2) as figure:
        figure.get_layout_engine().set(hspace=0.08)
        for axis, (name, adds, draw) in zip(figure.subplots(2, 4).flat, panels, strict=True):
            prepare(axis, (-0.8, 4.8), (-2.9, 0.7))
            axis.set_title(name, fontsize=9.5, loc="center", weight="bold")
            axis.text(2.0, -2.6, adds, ha="center", fontsize=8.5)
            draw(axis)
    return figure


_POSITIONS = {"e0": (0.0, 0.0), "e1": (0.6, -0.9), "m": (2.0, -1.8), "d1": (3.4, -0.9),
              "d0": (4.0, 0.0)}  # fmt: skip


def _nodes(axis: Axes, fill: dict[str, str] | None = None, skips: str = "both") -> dict:
    boxes = {
        name: draw_box(axis, x, y, "", (fill or {}).get(name, DATA), width=0.7, height=0.42)
        for name, (x, y) in _POSITIONS.items()
    }
    for a, b in (("e0", "e1"), ("e1", "m"), ("m", "d1"), ("d1", "d0")):
        down = boxes[a].y > boxes[b].y
        start, end = (boxes[a].bottom, boxes[b].top) if down else (boxes[a].top, boxes[b].bottom)
        draw_arrow(axis, start, end)
    for level in "01" if skips == "both" else "":
        draw_arrow(axis, boxes[f"e{level}"].right, boxes[f"d{level}"].left)
    return boxes


def _plain(axis: Axes) -> None:
    _nodes(axis)


def _nested(axis: Axes) -> None:
    boxes = _nodes(axis, skips="none")
    middle = draw_box(axis, 2.0, 0.0, "", CONV, width=0.7, height=0.42)
    draw_arrow(axis, boxes["e1"].right, boxes["d1"].left)
    draw_arrow(axis, boxes["e0"].right, middle.left, color=BLUE)
    draw_arrow(axis, middle.right, boxes["d0"].left, color=BLUE)
    draw_arrow(axis, boxes["e1"].top, middle.bottom, color=BLUE)
    draw_arrow(axis, boxes["e0"].top, boxes["d0"].top, color=BLUE, bend=-0.2)


def _full_scale(axis: Axes) -> None:
    boxes = _nodes(axis)
    draw_arrow(axis, boxes["e0"].right, boxes["d1"].left, color=ORANGE)
    draw_arrow(axis, boxes["m"].top, boxes["d0"].left, color=ORANGE)


def _gates(axis: Axes) -> None:
    boxes = _nodes(axis, skips="none")
    for level in "01":
        x = (boxes[f"e{level}"].x + boxes[f"d{level}"].x) / 2
        gate = draw_box(axis, x, boxes[f"e{level}"].y, "×", SUM, width=0.5, height=0.42)
        draw_arrow(axis, boxes[f"e{level}"].right, gate.left)
        draw_arrow(axis, gate.right, boxes[f"d{level}"].left)
        below = boxes["d1" if level == "0" else "m"]
        draw_arrow(axis, below.left if level == "0" else below.top, gate.bottom, color=RED)


def _residual(axis: Axes) -> None:
    boxes = _nodes(axis, dict.fromkeys(_POSITIONS, CONV))
    for name, box in boxes.items():
        side = -1 if name in ("e0", "e1") else 1
        x = box.x + side * 0.35
        if name == "m":
            draw_arrow(axis, (x, box.y - 0.1), (x, box.y + 0.12), color=RED, bend=1.2)
        else:
            draw_arrow(axis, (x, box.y + 0.12), (x, box.y - 0.1), color=RED, bend=-1.2 * side)


def _nested_u(axis: Axes) -> None:
    for box in _nodes(axis, dict.fromkeys(_POSITIONS, DENSE)).values():
        axis.text(box.x, box.y, "U", ha="center", va="center", fontsize=9, color=RED)


def _added(axis: Axes) -> None:
    boxes = _nodes(axis)
    for level in "01":
        x, y = boxes[f"d{level}"].left
        axis.text(x - 0.12, y + 0.06, "+", ha="right", va="bottom", fontsize=12, color=GREEN)


def _transformer(axis: Axes) -> None:
    boxes = _nodes(axis, {"m": NORM, "e1": POOL})
    axis.text(boxes["m"].x, boxes["m"].y - 0.02, "QKᵀV", ha="center", va="center", fontsize=7)
