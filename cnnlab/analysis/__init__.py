"""Analyses of networks and of their predictions."""

from cnnlab.analysis.blocks import block_table
from cnnlab.analysis.cost import Part, network_parts
from cnnlab.analysis.fields.effective import effective_receptive_field, effective_size
from cnnlab.analysis.fields.theoretical import Box, ReceptiveField, receptive_box, receptive_fields
from cnnlab.analysis.fields.utilisation import pixel_utilisation
from cnnlab.analysis.graph import Node, network_graph
from cnnlab.analysis.shapes import output_size, same_padding, transposed_output_size
from cnnlab.analysis.summary import (
    Layer,
    summarize,
    summary_table,
    total_activation_bytes,
    total_macs,
)

__all__ = [
    "Box",
    "Layer",
    "Node",
    "Part",
    "ReceptiveField",
    "block_table",
    "effective_receptive_field",
    "effective_size",
    "network_graph",
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
