"""Pictures of a few evaluation examples at every evaluation of a segmentation run."""

from collections.abc import Callable, Sequence

import jax
import numpy as np
from PIL import Image

from cnnlab.nn.cpu_kernels.compiler import compiler_options
from cnnlab.train.callbacks.base import Callback, Row, RunView

# (images, true label maps, predicted label maps, class names) -> uint8 pixels [height, width, 3].
Picture = Callable[[np.ndarray, np.ndarray, np.ndarray, Sequence[str]], np.ndarray]

_EXAMPLES = 6


class EvalImages(Callback):
    """Draws the first examples of the evaluation split with their predicted label maps.

    The examples stay the same, so that the pictures of several evaluations show the network's
    progress. `predictions.png` holds the last picture. Runs of other tasks have none.

    Args:
      picture: draws images, true and predicted label maps.
    """

    def __init__(self, picture: Picture):
        self._picture = picture

    def on_start(self, run: RunView) -> None:
        self._wanted = run.config.task == "segmentation"
        if not self._wanted:
            return
        source = run.dataset.splits[run.split]
        examples = [source[index] for index in range(min(_EXAMPLES, len(source)))]
        self._images = np.stack([example["image"] for example in examples])
        self._truths = np.stack([example["label"] for example in examples])
        self._predict = jax.jit(run.experiment.predict(), compiler_options=compiler_options())

    def on_evaluation(self, run: RunView, row: Row) -> None:
        if not self._wanted:
            return
        predicted = np.asarray(self._predict(run.variables(), self._images).argmax(-1), np.uint8)
        # A network without padding gives the middle alone.
        wider = zip(self._truths.shape[1:], predicted.shape[1:], strict=True)
        top, left = ((a - b) // 2 for a, b in wider)
        rows = slice(top, top + predicted.shape[1])
        columns = slice(left, left + predicted.shape[2])
        pixels = self._picture(
            self._images[:, rows, columns],
            self._truths[:, rows, columns],
            predicted,
            run.info.class_names,
        )
        Image.fromarray(pixels).save(run.workdir / "predictions.png")
        run.show(f"{run.split}/predictions", pixels)
