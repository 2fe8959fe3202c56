"""A network block by block, as a table for a terminal."""

import flax.linen as nn
from rich.table import Table

from cnnlab.analysis.cost import Part, network_parts
from cnnlab.analysis.graph import Node, network_graph
from cnnlab.analysis.summary import Layer, new_table, total_macs

_OVER_POSITIONS = {"mean": "global mean", "max": "global max"}


def block_table(
    model: nn.Module, image_shape: tuple[int, int, int], layers: list[Layer], title: str
) -> Table:
    """Returns a row per block: its output shape, parameters and multiply-accumulates.

    Poolings between the blocks and dropout have rows of their own.

    Args:
      model: the network, called as `model(images, train=False)`.
      image_shape: height, width and channels.
      layers: its layers from `summarize` for this image shape.
      title: title of the table.
    """
    parts = {part.name: part for part in network_parts(layers)}
    table = new_table(title)
    table.add_column("block", footer="total", overflow="fold")
    table.add_column("kind", overflow="fold")
    table.add_column("output", overflow="fold")
    totals = {"parameters": sum(layer.params for layer in layers), "MACs": total_macs(layers)}
    for name, total in totals.items():
        table.add_column(name, justify="right", footer=f"{total:,}", no_wrap=True)
    dropouts, group = _dropout_before(layers, parts), ""
    for node in network_graph(model, image_shape, parts):
        first, slash, _ = node.name.partition("/")
        if slash and first != group:
            group = first
            table.add_row(group)
        for name in dropouts.get(node.name, ()):
            table.add_row(f"  {name}", "Dropout")
        table.add_row(*_row(node, parts.get(node.name)))
    return table


def _row(node: Node, part: Part | None) -> tuple[str, ...]:
    shape = "x".join(map(str, node.output_shape))
    if part is None:
        return "", _OVER_POSITIONS.get(node.kind, node.kind), shape
    first, slash, rest = part.name.partition("/")
    numbers = (f"{number:,}" if number else "" for number in (part.params, part.macs))
    return f"  {rest}" if slash else first, part.kind, shape, *numbers


def _dropout_before(layers: list[Layer], parts: dict[str, Part]) -> dict[str, list[str]]:
    """Names of the dropout layers that backbone and head call, by the block that follows."""
    found: dict[str, list[str]] = {}
    waiting: list[str] = []
    for layer in layers:
        if layer.kind == "Dropout" and layer.name.count("/") == 1:
            waiting.append(layer.name.rpartition("/")[2])
        elif layer.name in parts and waiting:
            found[layer.name], waiting = waiting, []
    return found
