"""Figures of label maps: comparisons of predictions with the true labels."""

from collections.abc import Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patches import Patch

from cnnlab.report.label_pixels import background_class, overlay
from cnnlab.report.palette import IGNORE, make_palette
from cnnlab.report.pixels import magnify, rgb
from cnnlab.report.style import RED, hide_frame, new_figure

_CELL = 200  # pixels that a small image is magnified to, so that lines of one pixel look thin


def panel(
    images: Sequence[np.ndarray],
    truths: Sequence[np.ndarray],
    predictions: Sequence[np.ndarray],
    class_names: Sequence[str],
) -> np.ndarray:
    """Draws a row per example: image, true labels, prediction, and wrong pixels.

    Args:
      images: uint8 [height, width, 1 or 3] each.
      truths: uint8 [height, width] each; 255 is ignored.
      predictions: uint8 [height, width] each.
      class_names: names of the classes in the order of the labels.

    Returns:
      uint8 [height, width, 3], with a legend of the classes that occur.
    """
    background = background_class(class_names)
    palette = make_palette(background)
    heights = [2.0 * image.shape[0] / image.shape[1] for image in images]
    present = np.unique(np.concatenate([np.unique(labels) for labels in [*truths, *predictions]]))
    shown = [label for label in present if label != background]
    names = {label: "ignored" if label == IGNORE else class_names[label] for label in shown}
    columns = max(90 // (max(map(len, names.values()), default=0) + 6), 1)
    legend_height = 0.5 + 0.22 * -(-len(shown) // columns)
    with new_figure(8.6, sum(heights) + 0.32 * len(images) + legend_height) as figure:
        figure.get_layout_engine().set(w_pad=0.06, h_pad=0.06)
        axes = figure.subplots(len(images), 4, squeeze=False, height_ratios=heights)
        for row, example in zip(axes, zip(images, truths, predictions, strict=True), strict=True):
            image, truth, prediction = (magnify(x, _CELL) for x in example)
            wrong = (truth != prediction) & (truth != IGNORE)
            cells = [
                rgb(image),
                overlay(image, truth, palette, background=background),
                overlay(image, prediction, palette, background=background),
                mark_wrong(image, wrong),
            ]
            for axis, cell in zip(row, cells, strict=True):
                axis.imshow(cell, interpolation="antialiased")
                hide_frame(axis)
            counted = max((truth != IGNORE).sum(), 1)
            row[3].set_xlabel(f"{100 * wrong.sum() / counted:.1f} % of pixels", fontsize=8)
        for axis, title in zip(
            axes[0], ("image", "truth", "prediction", "where they differ"), strict=True
        ):
            axis.set_title(title)
        figure.legend(
            handles=[Patch(color=palette[label] / 255, label=names[label]) for label in shown],
            loc="outside lower center",
            ncols=columns,
            handlelength=1.0,
            handleheight=1.0,
        )
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:, :, :3].copy()


def mark_wrong(image: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """Returns the image in faint gray with wrong pixels in red, uint8 [height, width, 3].

    Args:
      image: uint8 [height, width, 1 or 3].
      wrong: bool [height, width].
    """
    faint = 255 - (255 - rgb(image).mean(axis=-1, keepdims=True)) * 0.35
    red = np.array([int(RED[i : i + 2], 16) for i in (1, 3, 5)])
    return np.where(wrong[:, :, None], red, faint).round().astype(np.uint8)
