"""Maps of examples: embeddings projected to two dimensions."""

from functools import partial
from typing import Any

import jax
import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from cnnlab.data import Source, eval_batches
from cnnlab.errors import UserError
from cnnlab.inference.run import TrainedRun
from cnnlab.models.features import EMBEDDING, extract

_PERPLEXITY = 30.0
_FIRST_BROUGHT_TO = 50  # dimensions, as van der Maaten & Hinton do before t-SNE


def embed(run: TrainedRun, source: Source) -> tuple[np.ndarray, np.ndarray]:
    """Returns embeddings, float32 [examples, c], and labels [examples] of a source."""
    call = jax.jit(partial(_embedding, run))
    size = min(run.config.evaluation.batch_size or run.config.batch_size, len(source))
    embeddings, labels = [], []
    for batch in eval_batches(source, batch_size=size):
        count = int(batch["mask"].sum())
        embeddings.append(np.asarray(call(run.variables, batch["image"]))[:count])
        labels.append(batch["label"][:count])
    return np.concatenate(embeddings), np.concatenate(labels)


def pca(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Projects onto the two principal components of largest variance.

    Args:
      features: [examples, c].

    Returns:
      Positions [examples, 2], and the share of the variance along each component, [2], in [0, 1].
    """
    _check(features, 2)
    model = PCA(2, svd_solver="full")
    return model.fit_transform(features.astype(np.float64)), model.explained_variance_ratio_


def tsne(features: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """t-SNE (van der Maaten & Hinton 2008): preserves neighbours, but not distances.

    It starts from PCA, which preserves large-scale structure and makes the map reproducible. The
    perplexity is 30, or less for fewer than 91 examples.

    Args:
      features: [examples, c].
      seed: seed of scikit-learn's randomness.

    Returns:
      Positions [examples, 2].
    """
    _check(features, 4)
    features = features.astype(np.float64)
    if min(features.shape) > _FIRST_BROUGHT_TO:
        features = PCA(_FIRST_BROUGHT_TO, random_state=seed).fit_transform(features)
    model = TSNE(
        2, perplexity=min(_PERPLEXITY, (len(features) - 1) / 3), init="pca", random_state=seed
    )
    # One thread: several add up in no fixed order and, where the machine has other work, wait for
    # each other a hundred times longer than they compute.
    with threadpool_limits(1):
        return model.fit_transform(features)


def _embedding(run: TrainedRun, variables: Any, images: jax.Array) -> jax.Array:
    normalised = run.experiment.normalize()({"image": images})["image"]
    return extract(run.experiment.model, variables, normalised)[EMBEDDING]


def _check(features: np.ndarray, fewest: int) -> None:
    if len(features) < fewest:
        raise UserError(
            f"A map needs at least {fewest} examples, and there "
            f"{'is' if len(features) == 1 else 'are'} {len(features)}."
        )
