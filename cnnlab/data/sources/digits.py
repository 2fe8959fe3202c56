"""The embedded default: scikit-learn's 1,797 handwritten digits.

8x8 pixels with values 0 to 16, from Alpaydin & Kaynak 1998, "Optical recognition of handwritten
digits" (UCI), of which it is the test set.
"""

from importlib.metadata import distribution

import numpy as np
from PIL import Image

from cnnlab.data.source import ArraySource
from cnnlab.data.splits import stratified_split

CLASS_NAMES = tuple("0123456789")
DEFAULT_SIZE = 28
_TEST_FRACTION = 0.2


def load_splits(image_size: int | None) -> dict[str, ArraySource]:
    """Returns all digits, resized (bicubic) to `image_size`; a fixed fifth is for testing."""
    values, labels = _read()
    size = image_size or DEFAULT_SIZE
    # The values are scaled before they are resized, so that no level of the 17 is lost.
    pixels = (values * (255 / 16)).round().astype(np.uint8)
    images = np.stack(
        [
            np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC))
            for image in pixels
        ]
    )
    source = ArraySource(images[..., None], labels)
    train, test = stratified_split(source.labels, _TEST_FRACTION, CLASS_NAMES, name="digits")
    return {"train": source.take(train), "test": source.take(test)}


def _read() -> tuple[np.ndarray, np.ndarray]:
    """Values [1797, 8, 8] from 0 to 16 and labels, as `sklearn.datasets.load_digits` returns them.

    They are read from the file in scikit-learn's package: to import it takes longer than to read
    them, resize them and train LeNet's first steps.
    """
    file = distribution("scikit-learn").locate_file("sklearn/datasets/data/digits.csv.gz")
    table = np.loadtxt(file, delimiter=",")
    return table[:, :-1].reshape(-1, 8, 8), table[:, -1].astype(np.int64)
