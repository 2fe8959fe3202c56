"""A few examples of the evaluation split, drawn again at every evaluation of a segmentation run."""

from collections.abc import Callable, Sequence

import jax
import numpy as np

from cnnlab.data import Source
from cnnlab.train.setup import Setup
from cnnlab.train.state import PyTree

# (images, true label maps, predicted label maps, class names) -> uint8 pixels [height, width, 3].
Picture = Callable[[np.ndarray, np.ndarray, np.ndarray, Sequence[str]], np.ndarray]

_EXAMPLES = 6


class Gallery:
    """The first examples of a source, with what the network makes of them.

    The same ones each time, so that pictures of several evaluations show how it learns.
    """

    def __init__(self, setup: Setup, source: Source, picture: Picture):
        examples = [source[index] for index in range(min(_EXAMPLES, len(source)))]
        self._images = np.stack([example["image"] for example in examples])
        self._truths = np.stack([example["label"] for example in examples])
        self._class_names = setup.info.class_names
        self._predict = jax.jit(setup.predict())
        self._picture = picture

    def draw(self, variables: PyTree) -> np.ndarray:
        """A picture, uint8 [height, width, 3]; variables are on one device."""
        predicted = np.asarray(self._predict(variables, self._images).argmax(-1), np.uint8)
        # A network without padding gives the middle alone.
        wider = zip(self._truths.shape[1:], predicted.shape[1:], strict=True)
        top, left = ((a - b) // 2 for a, b in wider)
        rows = slice(top, top + predicted.shape[1])
        columns = slice(left, left + predicted.shape[2])
        return self._picture(
            self._images[:, rows, columns],
            self._truths[:, rows, columns],
            predicted,
            self._class_names,
        )
