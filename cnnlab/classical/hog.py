"""Histograms of oriented gradients (Dalal & Triggs 2005, CVPR) as a function of images.

scikit-image's `hog`: each cell of the image has a histogram of its gradients' orientations
(unsigned, weighted by magnitude), and blocks of neighbouring cells, one cell apart, are normalised
together (L2-Hys). In color images, each pixel uses the channel with the largest gradient.
Deviations: votes are not interpolated between bins and blocks have no Gaussian weighting, as in
scikit-image; cells are 4 pixels by default, because the paper's 8 are meant for 64x128 images.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np
from skimage.feature import hog

from cnnlab.data import Source, eval_batches
from cnnlab.errors import UserError

# Images decoded and described at a time.
_BATCH = 1000


@dataclasses.dataclass(frozen=True)
class Hog:
    """Maps images to HOG features.

    Attributes:
      orientations: bins over 180 degrees.
      cell_size: height and width of a cell in pixels; pixels beyond the last whole cell are unused.
      block_size: height and width of a block in cells.
    """

    orientations: int = 9
    cell_size: int = 4
    block_size: int = 2

    def length(self, image_shape: tuple[int, int, int]) -> int:
        """Returns the number of features of an image [height, width, channels].

        Raises:
          UserError: the image is smaller than one block.
        """
        rows, columns = (side // self.cell_size - self.block_size + 1 for side in image_shape[:2])
        if min(rows, columns) < 1:
            height, width = image_shape[:2]
            side = self.cell_size * self.block_size
            raise UserError(
                f"Images of {height}x{width} pixels are smaller than a block of {side}x{side}: "
                f"lower model.options.cell_size={self.cell_size} or "
                f"model.options.block_size={self.block_size}, or raise data.image_size."
            )
        return rows * columns * self.block_size**2 * self.orientations

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Maps uint8 [examples, height, width, channels] to float32 [examples, features]."""
        features = np.empty((len(images), self.length(images.shape[1:])), np.float32)
        for row, image in zip(features, images, strict=True):
            row[:] = hog(
                image,
                orientations=self.orientations,
                pixels_per_cell=(self.cell_size, self.cell_size),
                cells_per_block=(self.block_size, self.block_size),
                channel_axis=-1,
            )
        return features

    def over(self, source: Source) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields batches of features and int32 labels of all examples, in order."""
        for batch in eval_batches(source, batch_size=min(_BATCH, len(source))):
            real = batch["mask"] > 0
            yield self(batch["image"][real]), batch["label"][real]
