"""Looks into networks."""

from cnnlab.analysis.shapes import output_size, same_padding, transposed_output_size
from cnnlab.analysis.summary import Layer, summarize, summary_table, total_macs
from cnnlab.analysis.utilisation import pixel_utilisation

__all__ = [
    "Layer",
    "output_size",
    "pixel_utilisation",
    "same_padding",
    "summarize",
    "summary_table",
    "total_macs",
    "transposed_output_size",
]
