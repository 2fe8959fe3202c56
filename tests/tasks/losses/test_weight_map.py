"""The U-Net paper's weight map against its definition, pixel by pixel."""

import numpy as np
import pytest

from cnnlab.tasks.losses.weight_map import unet_weight_map


def two_squares(gap):
    labels = np.zeros((12, 20), np.uint8)
    labels[3:9, 2:8] = 1
    labels[3:9, 8 + gap : 14] = 1
    return labels


def objects_of(labels):
    """Sets of pixels: connected through their sides, of one class."""
    left = {tuple(pixel) for pixel in np.argwhere((labels != 0) & (labels != 255))}
    objects = []
    while left:
        ready, found = [left.pop()], []
        while ready:
            row, column = ready.pop()
            found.append((row, column))
            for near in (
                (row - 1, column),
                (row + 1, column),
                (row, column - 1),
                (row, column + 1),
            ):
                if near in left and labels[near] == labels[row, column]:
                    left.remove(near)
                    ready.append(near)
        objects.append(np.array(found))
    return objects


def by_definition(labels, w0, sigma, class_weights):
    weights, objects = np.zeros(labels.shape), objects_of(labels)
    for pixel in np.ndindex(labels.shape):
        if labels[pixel] == 255:
            continue
        weights[pixel] = class_weights[labels[pixel]]
        distances = sorted(np.sqrt(((found - pixel) ** 2).sum(-1)).min() for found in objects)
        if len(distances) > 1:
            weights[pixel] += w0 * np.exp(-(sum(distances[:2]) ** 2) / (2 * sigma**2))
    return weights


@pytest.mark.parametrize(("w0", "sigma"), [(10.0, 5.0), (3.0, 0.7)])
def test_equals_the_definition(w0, sigma):
    """Of random scenes: several classes, that touch, with ignored regions."""
    for seed in range(4):
        rng = np.random.default_rng(seed)
        labels = np.zeros((26, 31), np.uint8)
        for _ in range(7):
            top, left, height, width = rng.integers(0, (22, 27, 7, 7))
            labels[top : top + height, left : left + width] = rng.choice([1, 2, 0, 255])
        weights = unet_weight_map(labels, w0=w0, sigma=sigma, class_weights=(0.5, 2.0, 3.0))
        assert weights.dtype == np.float32
        expected = by_definition(labels, w0, sigma, (0.5, 2.0, 3.0))
        np.testing.assert_allclose(weights, expected, rtol=1e-6)


def test_a_gap_by_hand():
    weights = unet_weight_map(two_squares(gap=2))
    # In the gap, one object is next to a pixel and the other two pixels off: d1 + d2 = 3.
    assert weights[5, 8] == pytest.approx(1 + 10 * np.exp(-9 / 50))
    # Inside of an object, d1 is 0.
    assert weights[5, 6] == pytest.approx(1 + 10 * np.exp(-16 / 50))
    assert weights[5, 8] == weights.max()


def test_no_gap_without_a_second_object():
    assert (unet_weight_map(two_squares(gap=0)) == 1).all()
    assert (unet_weight_map(np.zeros((5, 4), np.uint8)) == 1).all()
    np.testing.assert_array_equal(unet_weight_map(np.array([[0, 255, 1]])), [[1, 0, 1]])
