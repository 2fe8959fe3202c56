"""Reach: which rows of the image each element of an array depends on, as an interval.

One axis of the image is followed at a time. The reach of an array is int32 [3, ...], whose other
axes are those of the array, with size 1 along axes without variation:

    the first row, minus the last row, and 0 if a global operation adds the whole image;
    `NOTHING` in places without such a dependence.

So the reach of a function of several elements is the minimum of theirs.
"""

import math
from collections.abc import Sequence

import numpy as np

NOTHING = np.int32(2**30)

# Numbers in the largest reach that is written out; scores of attention between all positions of a
# large map would be more.
_LARGEST = 2**23


def of_image(shape: Sequence[int], axis: int) -> np.ndarray:
    """Each row of an image depends on itself; `axis` is the one that is followed."""
    rows = np.arange(shape[axis], dtype=np.int32)
    reach = np.stack([rows, -rows, np.full_like(rows, NOTHING)])
    return reach.reshape(3, *(len(rows) if a == axis else 1 for a in range(len(shape))))


def of_constant(rank: int) -> np.ndarray:
    """Reach of an array that does not depend on the image."""
    return np.full((3, *[1] * rank), NOTHING)


def of_whole_image(rank: int) -> np.ndarray:
    """Reach of the result of a global operation."""
    return np.array([NOTHING, NOTHING, 0], np.int32).reshape(3, *[1] * rank)


def union(*reaches: np.ndarray) -> np.ndarray:
    """Reach of an elementwise function of several arrays; scalars broadcast.

    If that would be too large, every element gets the joint reach of all.
    """
    rank = max(reach.ndim for reach in reaches)
    total = of_constant(rank - 1)
    for reach in reaches:
        reach = reach.reshape(3, *[1] * (rank - 1)) if reach.ndim == 1 else reach
        if math.prod(np.broadcast_shapes(total.shape, reach.shape)) > _LARGEST:
            axes = tuple(range(1, rank))
            total, reach = (x.min(axis=axes, keepdims=True) for x in (total, reach))
        total = np.minimum(total, reach)
    return total


def written_out(reach: np.ndarray, axis: int, size: int) -> np.ndarray:
    """Expands all positions along one axis of the array."""
    shape = list(reach.shape)
    shape[axis + 1] = size
    return np.broadcast_to(reach, shape)


def compact(reach: np.ndarray) -> np.ndarray:
    """Reduces axes without variation to size 1."""
    for axis in range(1, reach.ndim):
        if reach.shape[axis] > 1:
            first = reach.take([0], axis)
            reach = first if (reach == first).all() else reach
    return reach


def reshaped(reach: np.ndarray, old: Sequence[int], new: Sequence[int]) -> np.ndarray:
    """Reach after reshaping an array from shape `old` to `new`.

    Only axes that are split or merged and along which the reach varies are expanded.
    """
    before, after = [], []
    for sources, targets in _groups(old, new):
        varied = any(reach.shape[a + 1] > 1 for a in sources)
        before += [old[a] if varied else 1 for a in sources]
        after += [new[a] if varied else 1 for a in targets]
    return compact(np.broadcast_to(reach, (3, *before)).reshape(3, *after))


def _groups(old: Sequence[int], new: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """Groups of axes, from the left, with equal numbers of elements before and after."""
    groups, i, j = [], 0, 0
    while i < len(old) or j < len(new):
        sources, targets, left, right = [], [], 1, 1
        while not (sources or targets) or left != right:
            if j == len(new) or (i < len(old) and left <= right):
                sources.append(i)
                left *= old[i]
                i += 1
            else:
                targets.append(j)
                right *= new[j]
                j += 1
        groups.append((sources, targets))
    return groups


def padded(reach: np.ndarray, axis: int, size: int, low: int, high: int, inner: int) -> np.ndarray:
    """Reach after padding with constants before, after and between positions; negative pads cut.

    Along an axis without variation, the constants get the reach of the rest, which overestimates
    but avoids expanding the axis.
    """
    if reach.shape[axis + 1] == 1:
        return reach
    whole = np.moveaxis(written_out(reach, axis, size), axis + 1, -1)
    length, start = size + max(size - 1, 0) * inner, max(low, 0)
    result = np.full((*whole.shape[:-1], start + length + max(high, 0)), NOTHING)
    result[..., start : start + length : inner + 1] = whole
    result = result[..., max(-low, 0) : result.shape[-1] - max(-high, 0)]
    return np.moveaxis(result, -1, axis + 1)


def windowed(
    reach: np.ndarray,
    axis: int,
    size: int,
    *,
    extent: int,
    stride: int = 1,
    padding: tuple[int, int] = (0, 0),
    base_dilation: int = 1,
    dilation: int = 1,
) -> np.ndarray:
    """Reach after a convolution or pooling along one axis."""
    if reach.shape[axis + 1] == 1:
        return reach
    reach = np.moveaxis(padded(reach, axis, size, *padding, base_dilation - 1), axis + 1, -1)
    span = dilation * (extent - 1)
    stop = reach.shape[-1] - span
    parts = (reach[..., start : start + stop : stride] for start in range(0, span + 1, dilation))
    return np.moveaxis(union(*parts), -1, axis + 1)


def summed(reach: np.ndarray, axes: Sequence[int]) -> np.ndarray:
    """Reach after sums over some axes, which keep size 1; global sums are marked."""
    axes = tuple(a + 1 for a in axes)
    total = reach.min(axis=axes, keepdims=True)
    ends = np.where(reach[:2] == NOTHING, -NOTHING, reach[:2]).max(axis=axes, keepdims=True)
    return _mark_global(total, reach, (ends != total[:2]).any(axis=0))


def multiplied(reach: np.ndarray, axis: int, size: int, matrix: np.ndarray) -> np.ndarray:
    """Reach after the product over one axis with a known matrix [size, new], whose zeros matter.

    Resizing and adaptive pooling are such products.

    Returns:
      A reach with `axis` moved to the end, where it has `new` positions.
    """
    whole = np.moveaxis(written_out(reach, axis, size), axis + 1, -1)
    columns, rows = np.nonzero(matrix.T)
    present, starts = np.unique(columns, return_index=True)
    result = np.full((*whole.shape[:-1], matrix.shape[1]), NOTHING)
    if len(rows):
        result[..., present] = np.minimum.reduceat(whole[..., rows], starts, axis=-1)
    return _mark_global(result, reach, np.count_nonzero(matrix, axis=0) > 1)


def _mark_global(result: np.ndarray, terms: np.ndarray, several: np.ndarray) -> np.ndarray:
    """Marks the results of global operations.

    If a sum of several different terms covers all rows of the array, its result has no interval but
    depends on the whole image.
    """
    everything = terms[:2].reshape(2, -1).min(axis=1).reshape(2, *[1] * (terms.ndim - 1))
    is_global = several & (result[:2] == everything).all(axis=0) & (everything < NOTHING).all()
    if not is_global.any():
        return result
    return np.where(is_global, of_whole_image(result.ndim - 1), result)
