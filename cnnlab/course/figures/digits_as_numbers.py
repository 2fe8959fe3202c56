"""A digit as a picture, as a table of numbers, and as the vector a dense layer reads."""

import numpy as np
from matplotlib.figure import Figure

from cnnlab.course.figures.digits import digit, show
from cnnlab.course.figures.grid import draw_grid
from cnnlab.report.style import new_figure


def digit_as_numbers() -> Figure:
    """A digit, some of its pixels, and its rows flattened, also when it is moved by four."""
    image = digit(3)
    moved = np.roll(image, 4, axis=1)
    with new_figure(8.6, 3.6) as figure:
        grid = figure.add_gridspec(2, 2, width_ratios=(1, 1.25), height_ratios=(3.4, 1))
        show(figure.add_subplot(grid[0, 0]), image, "28 × 28 pixels")
        part = np.round(255 * image[8:16, 6:17])
        colors = {
            (i, j): f"{0.55 + 0.45 * part[i, j] / 255:.3f}" for i, j in np.ndindex(part.shape)
        }
        draw_grid(
            figure.add_subplot(grid[0, 1]),
            part,
            colors=colors,
            title="rows 8 to 15, columns 6 to 16",
        )
        axis = figure.add_subplot(grid[1, :])
        rows = np.stack([image[8:14].ravel(), moved[8:14].ravel()])
        axis.imshow(rows, cmap="gray", aspect="auto", interpolation="nearest")
        axis.set_yticks((0, 1), ("flattened", "four pixels to the right"), fontsize=8.5)
        axis.set_xticks(())
        axis.grid(False)
        axis.set_xlabel("rows 8 to 13 as the dense layer reads them", fontsize=8.5)
    return figure


def old_days() -> Figure:
    """The four steps: an image, preprocessing, features made by hand, a classifier."""
    from skimage.feature import hog  # slow to import, and needed here only

    image = digit(3, image_size=128)
    scaled = np.clip((image - image.mean()) / (2 * image.std()) + 0.3, 0, 1)
    _, arrows = hog(
        scaled, orientations=8, pixels_per_cell=(16, 16), cells_per_block=(2, 2), visualize=True
    )
    features = hog(scaled, orientations=8, pixels_per_cell=(16, 16), cells_per_block=(2, 2))
    with new_figure(9.4, 2.6) as figure:
        axes = figure.subplots(1, 4, width_ratios=(1, 1, 1, 1.3))
        show(axes[0], image, "1. collect images and labels")
        show(axes[1], scaled, "2. preprocess: contrast, size")
        show(axes[2], arrows, "3. features made by hand (HOG)")
        axes[3].bar(range(96), features[:96], color="#0072B2", width=1.0)
        axes[3].set(xticks=[], yticks=[])
        axes[3].grid(False)
        axes[3].set_xlabel(f"4. a linear classifier reads {len(features)} numbers", fontsize=8)
    return figure
