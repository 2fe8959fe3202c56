"""Whole networks as stacks of layers with their poolings: LeNet, AlexNet beside it, and FCN."""

import itertools

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
    draw_stack,
    prepare,
)
from cnnlab.report.style import RED, new_figure

_LENET = [
    ("image, 28×28×1", DATA),
    ("5×5 conv, padding 2: 28×28×6", CONV),
    ("2×2 mean pooling: 14×14×6", POOL),
    ("5×5 conv: 10×10×16", CONV),
    ("2×2 mean pooling: 5×5×16", POOL),
    ("flatten: 400", DATA),
    ("dense, 120", DENSE),
    ("dense, 84", DENSE),
    ("dense, 10", DENSE),
]
_ALEXNET = [
    ("image, 227×227×3", DATA),
    ("11×11 conv, stride 4: 55×55×96", CONV),
    ("3×3 max pooling, stride 2: 27×27", POOL),
    ("5×5 conv, padding 2: 27×27×256", CONV),
    ("3×3 max pooling, stride 2: 13×13", POOL),
    ("3×3 conv, padding 1: 13×13×384", CONV),
    ("3×3 conv, padding 1: 13×13×384", CONV),
    ("3×3 conv, padding 1: 13×13×256", CONV),
    ("3×3 max pooling, stride 2: 6×6", POOL),
    ("flatten: 9216", DATA),
    ("dense, 4096, dropout", DENSE),
    ("dense, 4096, dropout", DENSE),
    ("dense, 1000", DENSE),
]


def lenet_layers() -> Figure:
    """LeNet from left to right: maps, poolings and dense layers."""
    with new_figure(9.4, 2.5) as figure:
        axis = figure.subplots()
        prepare(axis, (-1.2, 18.6), (-2.0, 2.3))
        maps = [(28, 1, DATA, "image"), (28, 6, CONV, "5×5 conv,\npadding 2"),
                (14, 6, POOL, "2×2 mean\npooling"), (10, 16, CONV, "5×5 conv"),
                (5, 16, POOL, "2×2 mean\npooling")]  # fmt: skip
        before = None
        for n, (side, channels, color, name) in enumerate(maps):
            height = 2.6 * (side / 28) ** 0.5
            x = 2.4 * n
            shown = min(channels, 6)
            for c in reversed(range(shown)):
                shift = 0.11 * c
                box = draw_box(axis, x + shift, shift - 0.1, "", color, width=0.45 * height,
                               height=0.8 * height)  # fmt: skip
            axis.text(x + 0.25, 1.75, f"{side}×{side}×{channels}", ha="center", fontsize=8.5)
            axis.text(x, -1.3, name, ha="center", va="top", fontsize=8)
            if before is not None:
                draw_arrow(axis, (before, -0.1), box.left)
            before = x + 0.11 * (shown - 1) + 0.23 * height
        for n, (size, name) in enumerate(((400, "flatten"), (120, "dense"), (84, "dense"),
                                          (10, "dense"))):  # fmt: skip
            x = 12.3 + 1.9 * n
            box = draw_box(axis, x, -0.1, "", DATA if n == 0 else DENSE, width=0.3,
                           height=0.4 + 1.7 * (size / 400) ** 0.5)  # fmt: skip
            axis.text(x, 1.75, str(size), ha="center", fontsize=8.5)
            axis.text(x, -1.3, name, ha="center", va="top", fontsize=8)
            draw_arrow(axis, (before, -0.1), box.left)
            before = box.right[0]
    return figure


def alexnet_and_lenet() -> Figure:
    """Both networks from the image, at the bottom, to the logits."""
    with new_figure(7.6, 6.0) as figure:
        axis = figure.subplots()
        prepare(axis, (-0.1, 9.1), (-0.5, 11.0))
        for x, name, layers, total in ((2.1, "LeNet, 1998", _LENET, "61,706 parameters, sigmoid"),
                                       (6.9, "AlexNet, 2012", _ALEXNET,
                                        "60,965,224 parameters, ReLU")):  # fmt: skip
            draw_stack(axis, x, layers, step=0.8, width=4.0)
            top = 0.8 * len(layers)
            axis.text(x, top - 0.1, total, ha="center", fontsize=8.5)
            axis.text(x, top + 0.3, name, ha="center", fontsize=10.5, weight="bold")
    return figure


def collections() -> Figure:
    """A file of a collection, brought to our arrays; the head is replaced where classes differ."""
    with new_figure(9.4, 2.7) as figure:
        axis = figure.subplots()
        prepare(axis, (-1.7, 15.2), (-0.5, 3.4))
        names = ("torchvision", "timm", "segmentation_models\n_pytorch")
        files = [draw_box(axis, 0.0, 2.8 - 1.2 * n, name, DATA, width=3.0, height=0.8)
                 for n, name in enumerate(names)]  # fmt: skip
        keys = draw_box(axis, 4.4, 1.6, "names and layout\nof the arrays\nrecognised", NORM,
                        width=2.8, height=1.5)  # fmt: skip
        for box in files:
            draw_arrow(axis, box.right, keys.left)
        backbone = draw_box(axis, 8.8, 2.3, 'params["backbone"]\nbatch_stats', CONV, width=3.1,
                            height=0.9)  # fmt: skip
        head = draw_box(axis, 8.8, 0.8, 'params["head"]', DENSE, width=3.1, height=0.9)
        draw_arrow(axis, keys.right, backbone.left)
        draw_arrow(axis, keys.right, head.left)
        kept = draw_box(axis, 13.4, 2.3, "kept, fine-tuned", CONV, width=3.2, height=0.9)
        new = draw_box(axis, 13.4, 0.8, "new where the number\nof classes differs", SUM, width=3.2,
                       height=0.9)  # fmt: skip
        draw_arrow(axis, backbone.right, kept.left)
        draw_arrow(axis, head.right, new.left)
    return figure


def fcn_heads() -> Figure:
    """FCN-32s, 16s and 8s: a backbone's maps, scored, enlarged, added, up to the full size."""
    with new_figure(9.4, 4.4) as figure:
        axis = figure.subplots()
        prepare(axis, (-1.1, 15.4), (-0.6, 6.3))
        sizes = ("224×224×3", "pool1\n112×112×64", "pool2\n56×56×128", "pool3\n28×28×256",
                 "pool4\n14×14×512", "fc7\n7×7×4096")  # fmt: skip
        maps = [
            draw_box(axis, 2.8 * n, 5.4, text, DATA if n == 0 else POOL if n < 5 else CONV,
                     width=2.0, height=0.95)
            for n, text in enumerate(sizes)
        ]  # fmt: skip
        for a, b in itertools.pairwise(maps):
            draw_arrow(axis, a.right, b.left)
        scores = [
            draw_box(axis, box.x, 3.9, "1×1 conv\n21 scores", CONV, width=1.9, height=0.85)
            for box in maps[3:]
        ]
        for box, score in zip(maps[3:], scores, strict=True):
            draw_arrow(axis, box.bottom, score.top)
        plus16 = draw_box(axis, scores[1].x, 2.4, "+\n14×14×21", SUM, width=1.5, height=0.8)
        plus8 = draw_box(axis, scores[0].x, 1.2, "+\n28×28×21", SUM, width=1.5, height=0.8)
        draw_arrow(axis, scores[1].bottom, plus16.top)
        draw_arrow(axis, scores[0].bottom, plus8.top)
        draw_path(axis, [scores[2].bottom, (scores[2].x, plus16.y), plus16.right], color=RED)
        axis.text(scores[2].x - 0.1, 2.55, "×2", ha="right", fontsize=9, color=RED)
        draw_path(axis, [plus16.bottom, (plus16.x, plus8.y), plus8.right], color=RED)
        axis.text(plus16.x - 0.1, 1.35, "×2", ha="right", fontsize=9, color=RED)
        out = draw_box(axis, 1.2, 1.2, "FCN-8s\n224×224×21", DENSE, width=2.4, height=0.8)
        draw_arrow(axis, plus8.left, out.right, color=RED)
        axis.text(5.0, 1.35, "×8", fontsize=9, color=RED)
        out16 = draw_box(axis, 1.2, 2.4, "FCN-16s\n224×224×21", DENSE, width=2.4, height=0.8)
        draw_arrow(axis, plus16.left, out16.right, color=RED)
        axis.text(5.0, 2.55, "×16", fontsize=9, color=RED)
        out32 = draw_box(axis, 1.2, 0.0, "FCN-32s\n224×224×21", DENSE, width=2.4, height=0.8)
        draw_path(
            axis,
            [(scores[2].x + 0.4, scores[2].bottom[1]), (scores[2].x + 0.4, 0.0), out32.right],
            color=RED,
        )
        axis.text(5.0, 0.15, "×32", fontsize=9, color=RED)
        axis.text(15.3, -0.5, "red: transposed convolutions, started as bilinear interpolation",
                  ha="right", fontsize=8.5, color=RED)  # fmt: skip
    return figure
