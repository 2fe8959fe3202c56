"""Exact parameter counts of every segmentation network, with where each number comes from.

A count of a repository is that of its network with random weights; one of a paper is counted from
its figure by a definition of its own in PyTorch.
"""

from typing import NamedTuple


class Count(NamedTuple):
    """One form of an architecture and its size."""

    image_shape: tuple[int, ...]
    num_classes: int
    params: int
    source: str
    options: dict = {}  # noqa: RUF012


COUNTS = {
    "unet": Count((64, 64, 1), 2, 31_030_658, "Ronneberger et al. 2015, fig. 1"),
    "unet_valid": Count((572, 572, 1), 2, 31_030_658, "Ronneberger et al. 2015, fig. 1"),
    "unet_bn": Count((64, 64, 3), 2, 31_037_698, "milesial/Pytorch-UNet, bilinear=False"),
    "unet_bilinear": Count((64, 64, 3), 2, 17_263_042, "milesial/Pytorch-UNet, bilinear=True"),
}

OTHER_COUNTS = [
    ("unet", Count((64, 64, 1), 2, 7_759_554, "fig. 1 at half the width", {"width": 32})),
    ("unet", Count((64, 64, 1), 2, 1_940_834, "fig. 1 at a quarter", {"width": 16})),
    ("unet", Count((64, 64, 3), 2, 31_031_810, "fig. 1, three channels")),
]

# The smallest form of each family that still has all of its parts, for tests that compute.
SMALL = {
    "unet": {"width": 4, "levels": 3},
    "unet_valid": {"width": 4, "levels": 2},
    "unet_bn": {"width": 4, "levels": 3},
    "unet_bilinear": {"width": 4, "levels": 3},
}
