"""Integrated gradients: how much each pixel adds to the score of a class."""

from functools import partial
from typing import Any

import jax
import numpy as np

from cnnlab.analysis.scores import class_scores
from cnnlab.models import Network


def integrated_gradients(
    model: Network,
    variables: Any,
    images: jax.Array,
    targets: jax.Array,
    baseline: jax.Array,
    *,
    steps: int = 64,
    pixels: jax.Array | None = None,
) -> np.ndarray:
    """The gradient of a class's logit, averaged on the way from a baseline to the image.

    (x - b) times the integral over t in [0, 1] of the gradient at b + t (x - b), by the midpoint
    rule (Sundararajan et al. 2017, arXiv:1703.01365, eq. 1 and 3; theirs is a Riemann sum of right
    ends). The attributions of an image add up to its score less that of the baseline, as exactly as
    `steps` allow.

    Args:
      model: see `Network`.
      variables: as `model.init` gives them.
      images: normalised float images [batch, height, width, channels].
      targets: the class to explain, integers [batch].
      baseline: an image without a signal, in the form of the images; the paper takes a black one.
      steps: gradients to average.
      pixels: of segmentation, the pixels whose class is explained; see `class_scores`.

    Returns:
      float32 in the shape of the images.
    """
    gradient = jax.jit(partial(_gradient, model))
    total = np.zeros(images.shape, np.float64)
    # A loop of calls: on CPU, XLA's convolutions are many times slower inside of a compiled one.
    for step in range(steps):
        share = (step + 0.5) / steps
        total += np.asarray(gradient(variables, images, targets, baseline, share, pixels))
    return (total / steps * np.asarray(images - baseline)).astype(np.float32)


def _gradient(
    model: Network,
    variables: Any,
    images: jax.Array,
    targets: jax.Array,
    baseline: jax.Array,
    share: float,
    pixels: jax.Array | None,
) -> jax.Array:
    def score(images: jax.Array) -> jax.Array:
        return class_scores(model.apply(variables, images, train=False), targets, pixels).sum()

    return jax.grad(score)(baseline + share * (images - baseline))
