"""Looks into networks."""

from cnnlab.analysis.cost import Part, network_parts
from cnnlab.analysis.effective_receptive_field import effective_receptive_field, effective_size
from cnnlab.analysis.receptive_field import Box, ReceptiveField, receptive_box, receptive_fields
from cnnlab.analysis.shapes import output_size, same_padding, transposed_output_size
from cnnlab.analysis.summary import (
    Layer,
    summarize,
    summary_table,
    total_activation_bytes,
    total_macs,
)
from cnnlab.analysis.utilisation import pixel_utilisation

__all__ = [
    "Box",
    "Layer",
    "Part",
    "ReceptiveField",
    "effective_receptive_field",
    "effective_size",
    "network_parts",
    "output_size",
    "pixel_utilisation",
    "receptive_box",
    "receptive_fields",
    "same_padding",
    "summarize",
    "summary_table",
    "total_activation_bytes",
    "total_macs",
    "transposed_output_size",
]
