"""Counts for a boundary F-score: how many boundary pixels match."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np


def boundary_counts(
    predicted: jax.Array,
    true: jax.Array,
    valid: jax.Array,
    *,
    num_classes: int,
    tolerance: int,
) -> jax.Array:
    """Boundary pixels of each class and how many of them match, int32 [num_classes, 4].

    Columns: predicted boundary pixels; those with a true boundary pixel of the same class within
    the tolerance; true boundary pixels; those with a predicted one within the tolerance. Precision
    and recall follow as in Csurka et al. 2013 ("What is a good evaluation measure for semantic
    segmentation?", sec. 3), but over the whole set instead of averaged over images.

    A boundary pixel has a pixel of another class above, below, left or right of it. The border of
    the image is no boundary, nor is that of an ignored region.

    Args:
      predicted: int32 [batch, height, width].
      true: int32, same shape.
      valid: bool, same shape; other pixels are ignored.
      num_classes: number of classes; valid labels are below it.
      tolerance: largest Euclidean distance between the centers of matching pixels, in pixels.
    """
    predicted_edge, true_edge = _edges(predicted, valid), _edges(true, valid)
    columns = [
        (predicted, predicted_edge),
        (predicted, _matched(predicted, predicted_edge, true, true_edge, tolerance)),
        (true, true_edge),
        (true, _matched(true, true_edge, predicted, predicted_edge, tolerance)),
    ]
    zeros = jnp.zeros(num_classes, jnp.int32)
    counts = [zeros.at[labels].add(chosen.astype(jnp.int32)) for labels, chosen in columns]
    return jnp.stack(counts, axis=-1)


def _edges(labels: jax.Array, valid: jax.Array) -> jax.Array:
    """Whether a pixel has a neighbour of another class, both valid; bool [batch, height, width]."""
    edges = jnp.zeros(labels.shape, bool)
    for axis in range(1, labels.ndim):
        size = labels.shape[axis]
        first = [slice(None)] * labels.ndim
        second = list(first)
        first[axis], second[axis] = slice(0, size - 1), slice(1, size)
        first, second = tuple(first), tuple(second)
        differ = (labels[first] != labels[second]) & valid[first] & valid[second]
        edges = edges.at[first].max(differ).at[second].max(differ)
    return edges


def _matched(
    labels: jax.Array, edge: jax.Array, others: jax.Array, others_edge: jax.Array, tolerance: int
) -> jax.Array:
    """Which edge pixels have an edge pixel of the same class in `others` within the tolerance."""
    span = range(-tolerance, tolerance + 1)
    space = labels.ndim - 1
    offsets = np.array(
        [o for o in itertools.product(span, repeat=space) if sum(x * x for x in o) <= tolerance**2]
    )
    padding = [(0, 0)] + [(tolerance, tolerance)] * space
    # One map shifted about, not a dilation for each class: time and memory do not grow with those.
    marked = jnp.pad(jnp.where(others_edge, others, -1), padding, constant_values=-1)
    starts = jnp.asarray(np.pad(offsets + tolerance, [(0, 0), (1, 0)]), jnp.int32)

    def look(index: int, found: jax.Array) -> jax.Array:
        return found | (jax.lax.dynamic_slice(marked, starts[index], labels.shape) == labels)

    found = jax.lax.fori_loop(0, len(offsets), look, jnp.zeros(labels.shape, bool))
    return found & edge
