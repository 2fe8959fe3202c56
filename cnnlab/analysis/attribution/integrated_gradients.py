"""Integrated gradients: the contribution of each pixel to the score of a class."""

from functools import partial
from typing import Any

import jax
import numpy as np

from cnnlab.analysis.attribution.scores import class_scores
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
    """Gradient of a class's logit, integrated from a baseline to the image.

    (x - b) times the integral over t in [0, 1] of the gradient at b + t (x - b), by the midpoint
    rule (Sundararajan et al. 2017, arXiv:1703.01365, eqs. 1 and 3, with a right Riemann sum). The
    attributions of an image add up to its score minus the baseline's, with an error that falls with
    `steps`.

    Args:
      model: a network whose `apply` returns logits.
      variables: variables of the model, as from `model.init`.
      images: normalised float images [batch, height, width, channels].
      targets: the class to explain, integers [batch].
      baseline: normalised image without signal, [height, width, channels]; black in the paper.
      steps: number of gradients to average.
      pixels: for segmentation, bool [batch, height, width], the pixels to explain.

    Returns:
      float32 with the shape of the images.
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
