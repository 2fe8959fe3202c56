"""Blocks of networks with their connections: NiN, Inception, residual and dense blocks."""

from matplotlib.figure import Figure

from cnnlab.course.figures.networks.flow import (
    CONV,
    DATA,
    NORM,
    POOL,
    SUM,
    draw_arrow,
    draw_box,
    draw_path,
    draw_stack,
    prepare,
)
from cnnlab.report.style import BLUE, GREEN, ORANGE, RED, new_figure


def nin_block() -> Figure:
    """The end of VGG beside NiN: dense layers against 1x1 convolutions and a mean."""
    vgg = [("3×3 convolution", CONV), ("3×3 convolution", CONV), ("2×2 max pooling", POOL),
           ("flatten: 25,088 numbers", DATA), ("dense, 4096", SUM), ("dense, 4096", SUM),
           ("dense, 1000", SUM)]  # fmt: skip
    nin = [("k×k convolution", CONV), ("1×1 convolution", NORM), ("1×1 convolution", NORM),
           ("3×3 max pooling, stride 2", POOL), ("last block: 1000 channels", CONV),
           ("mean over all positions", POOL), ("1000 logits", DATA)]  # fmt: skip
    with new_figure(7.4, 4.3) as figure:
        axis = figure.subplots()
        prepare(axis, (-0.2, 8.4), (-0.6, 6.4))
        left = draw_stack(axis, 1.6, vgg, width=2.7)
        right = draw_stack(axis, 5.0, nin, width=2.7)
        for boxes, name in ((left, "VGG, its last layers"), (right, "NiN")):
            axis.text(boxes[-1].x, 6.0, name, ha="center", va="bottom", fontsize=10, weight="bold")
        axis.text(3.05, left[4].y, "102.8 M\nweights", va="center", fontsize=8, color=RED)
        axis.text(6.5, 0.85, "NiN block: dense\nlayers at each\nposition", va="center", fontsize=8)
        axis.text(6.5, right[5].y, "no weights", va="center", fontsize=8, color=GREEN)
    return figure


def inception_block() -> Figure:
    """Four paths side by side, joined along the channels; widths of the first block, 3a."""
    with new_figure(8.2, 3.6) as figure:
        axis = figure.subplots()
        prepare(axis, (0, 10.4), (-0.5, 4.5))
        source = draw_box(axis, 5.2, 0.0, "input, 192 channels", DATA, width=3.0)
        target = draw_box(axis, 5.2, 4.1, "concatenation, 64 + 128 + 32 + 32 = 256 channels", DATA,
                          width=5.6)  # fmt: skip
        paths = (
            (1.3, ("1×1 convolution, 64", CONV), None),
            (3.9, ("1×1 convolution, 96", NORM), ("3×3 convolution, 128", CONV)),
            (6.5, ("1×1 convolution, 16", NORM), ("5×5 convolution, 32", CONV)),
            (9.1, ("3×3 max pooling", POOL), ("1×1 convolution, 32", NORM)),
        )
        for x, first, second in paths:
            low = draw_box(axis, x, 1.5 if second else 2.1, *first, width=2.3)
            high = draw_box(axis, x, 2.7, *second, width=2.3) if second else low
            draw_path(axis, [source.top, (source.x, 0.7), (x, 0.7), low.bottom])
            if second:
                draw_arrow(axis, low.top, high.bottom)
            draw_path(axis, [high.top, (x, 3.4), (target.x, 3.4), target.bottom])
    return figure


def residual_block() -> Figure:
    """A plain block, a residual block, and one whose shortcut is a 1x1 convolution."""
    names = ("plain block\ny = f(x)", "residual block\ny = x + f(x)",
             "with 1×1 convolution\ny = W x + f(x)")  # fmt: skip
    with new_figure(8.6, 4.9) as figure:
        axis = figure.subplots()
        prepare(axis, (-1.6, 12.0), (-0.5, 7.6))
        for number, (x, name) in enumerate(zip((0.0, 4.2, 9.3), names, strict=True)):
            half = number == 2
            layers = [
                ("x", DATA),
                ("3×3 conv, stride 2" if half else "3×3 conv", CONV),
                ("batch norm", NORM),
                ("ReLU", POOL),
                ("3×3 conv", CONV),
                ("batch norm", NORM),
                ("+" if number else "ReLU", SUM if number else POOL),
                ("ReLU" if number else "y", POOL if number else DATA),
            ]
            boxes = draw_stack(axis, x, layers, step=0.84, width=2.4)
            axis.text(x, 6.45, name, ha="center", va="bottom", fontsize=9.5)
            if not number:
                continue
            side, (source, total) = x - 2.0, (boxes[0], boxes[6])
            if half:
                shortcut = draw_box(axis, side - 0.3, 2.5, "1×1 conv,\nstride 2", CONV, width=1.7,
                                    height=0.8)  # fmt: skip
                draw_path(axis, [source.left, (shortcut.x, source.y), shortcut.bottom], color=RED)
                draw_path(axis, [shortcut.top, (shortcut.x, total.y), total.left], color=RED)
            else:
                draw_path(
                    axis,
                    [source.left, (side, source.y), (side, total.y), total.left],
                    color=RED,
                )
    return figure


def dense_connections() -> Figure:
    """A dense block of four layers: each one reads all maps before it."""
    colors = ("#555555", BLUE, GREEN, ORANGE)
    with new_figure(8.6, 3.0) as figure:
        axis = figure.subplots()
        prepare(axis, (-1.0, 13.6), (-0.9, 3.2))
        boxes = [draw_box(axis, 0.0, 0.6, "input\n64", DATA, width=1.4, height=0.9)]
        for n in range(1, 5):
            boxes.append(
                draw_box(axis, 2.6 * n, 0.6, f"layer {n}\n+ 32", CONV, width=1.4, height=0.9)
            )
        out = draw_box(axis, 12.6, 0.6, "64 + 4·32\n= 192", DATA, width=1.5, height=0.9)
        for a, box in enumerate(boxes):
            targets = [*boxes[a + 1 :], out]
            draw_arrow(axis, box.right, targets[0].left)
            color = colors[a] if a < 4 else colors[0]
            for n, other in enumerate(targets[1:]):
                height = 1.05 + 0.42 * (n + 1) + 0.08 * a
                start = (box.x + 0.12 + 0.12 * n, box.top[1])
                end = (other.x - 0.45 + 0.2 * a, other.top[1])
                draw_path(axis, [start, (start[0], height), (end[0], height), end], color=color)
        for n in range(1, 5):
            axis.text(2.6 * n, -0.1, f"reads {64 + 32 * (n - 1)}", ha="center", va="top",
                      fontsize=8)  # fmt: skip
        axis.text(6.3, -0.85, "channels; every arrow joins maps, and none adds them", ha="center",
                  va="bottom", fontsize=8.5)  # fmt: skip
    return figure
