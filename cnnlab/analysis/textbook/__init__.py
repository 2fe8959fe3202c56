"""Layers by their definitions: loops over NumPy arrays, one pixel at a time.

They are slow and written to be read; the layers of `cnnlab.nn` are tested against them. Images are
[height, width] or [height, width, channels], without a batch.
"""

from cnnlab.analysis.textbook.cross_correlation import (
    cross_correlate,
    cross_correlate_channels,
    cross_correlate_gradients,
    pad,
)
from cnnlab.analysis.textbook.normalization import (
    batch_norm,
    batch_norm_inference,
    group_norm,
    layer_norm,
    moving_average,
)
from cnnlab.analysis.textbook.pooling import pool
from cnnlab.analysis.textbook.transposed_convolution import (
    convolution_matrix,
    transposed_convolve,
    transposed_convolve_channels,
)

__all__ = [
    "batch_norm",
    "batch_norm_inference",
    "convolution_matrix",
    "cross_correlate",
    "cross_correlate_channels",
    "cross_correlate_gradients",
    "group_norm",
    "layer_norm",
    "moving_average",
    "pad",
    "pool",
    "transposed_convolve",
    "transposed_convolve_channels",
]
