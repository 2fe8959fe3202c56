"""Segmentation: a scene, its labels, and how an answer is scored."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from cnnlab.data.sources.digit_scenes import CLASS_NAMES, render
from cnnlab.report.palette import make_palette
from cnnlab.report.style import BLUE, GREEN, ORANGE, new_figure


def segmentation() -> Figure:
    """A scene with the label of each pixel."""
    palette = make_palette()
    with new_figure(7.6, 2.6) as figure:
        axes = figure.subplots(1, 4)
        seen = set()
        for pair, index in zip((axes[:2], axes[2:]), (3, 8), strict=True):
            image, labels = render("train", index, size=96)
            pair[0].imshow(image[..., 0], cmap="gray", vmin=0, vmax=255)
            pair[1].imshow(palette[labels])
            pair[0].set_xlabel("image", fontsize=8)
            pair[1].set_xlabel("label of each pixel", fontsize=8)
            seen |= set(np.unique(labels).tolist())
        for axis in axes:
            axis.set(xticks=[], yticks=[])
            axis.grid(False)
            axis.spines[:].set_visible(False)
        handles = [Patch(color=palette[n] / 255, label=CLASS_NAMES[n]) for n in sorted(seen)]
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles),
                      handlelength=1.0, handleheight=1.0)  # fmt: skip
    return figure


def overlap() -> Figure:
    """Intersection over union and Dice of two squares that overlap more and more."""
    side, size = 12, 24
    truth = np.zeros((size, size), bool)
    truth[6 : 6 + side, 3 : 3 + side] = True
    with new_figure(8.2, 2.4) as figure:
        for axis, offset in zip(figure.subplots(1, 4), (9, 6, 3, 0), strict=True):
            answer = np.roll(truth, offset, axis=1)
            both, either = (truth & answer).sum(), (truth | answer).sum()
            iou, dice = both / either, 2 * both / (truth.sum() + answer.sum())
            shades = np.full((size, size, 3), 245, np.uint8)
            for inside, color in ((truth, BLUE), (answer, ORANGE), (truth & answer, GREEN)):
                shades[inside] = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
            axis.imshow(shades)
            axis.set(xticks=[], yticks=[])
            axis.grid(False)
            axis.spines[:].set_visible(False)
            axis.set_xlabel(f"IoU {iou:.2f}, Dice {dice:.2f}", fontsize=9)
        handles = [Patch(color=color, label=name) for color, name in
                   ((BLUE, "truth alone"), (ORANGE, "answer alone"), (GREEN, "both"))]  # fmt: skip
        figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure
