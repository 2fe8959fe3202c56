"""Layer table of a network: shapes, parameters, multiply-accumulates and memory of each layer."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from cnnlab.train.state import num_parameters
from cnnlab.units import short_size


@dataclasses.dataclass(frozen=True)
class Layer:
    """One row of the table.

    Attributes:
      name: path of the module, e.g. `backbone/conv1`.
      kind: class of the module, e.g. `Conv`.
      output_shapes: shapes of the outputs without the batch axis; several if the module returns a
        tuple.
      params: number of parameters of the module itself, without submodules.
      macs: multiply-accumulates of the module itself for one image.
      activation_bytes: bytes of the outputs for one image, in their dtype.
    """

    name: str
    kind: str
    output_shapes: tuple[tuple[int, ...], ...]
    params: int
    macs: int
    activation_bytes: int


def summarize(model: nn.Module, image_shape: tuple[int, int, int]) -> list[Layer]:
    """Lists every module that `model` calls on one image, in order; the model is only traced.

    Multiply-accumulates count convolutions and dense layers, without bias, normalization,
    activation, pooling and resizing, as the literature does.

    Args:
      model: the network, called as `model(images, train=False)`.
      image_shape: height, width and channels.
    """
    calls: list[tuple[nn.Module, tuple, Any]] = []
    running: set[tuple[str, ...]] = set()

    def record(
        call: Callable[..., Any], args: tuple, kwargs: dict, context: nn.module.InterceptorContext
    ) -> Any:
        path = context.module.path
        if context.method_name != "__call__" or path in running:
            return call(
                *args, **kwargs
            )  # a method that `__call__` calls, or that of its base class
        running.add(path)
        output = call(*args, **kwargs)
        running.remove(path)
        calls.append((context.module, args, output))
        return output

    image = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    with nn.intercept_methods(record):
        variables = jax.eval_shape(
            lambda x: model.init(jax.random.PRNGKey(0), x, train=False), image
        )
    layers = {}
    for module, args, output in calls:
        own = _at(variables["params"], module.path)
        shapes = tuple(leaf.shape[1:] for leaf in jax.tree.leaves(output))
        layer = Layer(
            name="/".join(module.path),
            kind=type(module).__name__,
            output_shapes=shapes,
            params=num_parameters([leaf for leaf in own.values() if not isinstance(leaf, dict)]),
            macs=_macs(module, own, args, shapes),
            activation_bytes=sum(
                leaf.size * leaf.dtype.itemsize
                for leaf in jax.tree.leaves(output)
                # What returns its input, as dropout does here, needs no memory of its own.
                if not any(leaf is argument for argument in jax.tree.leaves(args))
            ),
        )
        # A module that is called twice has one row, with the cost of both calls.
        if layer.name in layers:
            before = layers[layer.name]
            layer = dataclasses.replace(
                layer,
                macs=before.macs + layer.macs,
                activation_bytes=before.activation_bytes + layer.activation_bytes,
            )
        layers[layer.name] = layer
    return sorted(layers.values(), key=lambda layer: _order(layer, list(layers)))


def _order(layer: Layer, names: list[str]) -> tuple:
    # Calls end in the order of computation, a parent after its children: list it before them.
    first = (
        min(i for i, name in enumerate(names) if (name + "/").startswith(layer.name + "/"))
        if layer.name
        else -1
    )
    return first, layer.name.count("/")


def _at(tree: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    for name in path:
        tree = tree.get(name, {})
    return tree


def _macs(module: nn.Module, own: dict[str, Any], args: tuple, shapes: tuple) -> int:
    if "kernel" not in own or not shapes:
        return 0
    kernel = own["kernel"].shape
    if isinstance(module, nn.ConvTranspose):
        # Every input pixel is multiplied with the whole kernel.
        return math.prod(args[0].shape[1:-1]) * math.prod(kernel)
    # A DenseGeneral may have several axes of features.
    axes = np.size(module.features) if isinstance(module, nn.DenseGeneral) else 1
    return math.prod(shapes[0][:-axes]) * math.prod(kernel)


def total_macs(layers: list[Layer]) -> int:
    """Multiply-accumulates of the whole network for one image."""
    return sum(layer.macs for layer in layers)


def total_activation_bytes(layers: list[Layer]) -> int:
    """Bytes of the outputs of all layers without submodules, for one image.

    Approximately the memory per image that training needs for the backward pass; activations and
    poolings that are plain functions are not counted.
    """
    parents = {"/".join(layer.name.split("/")[:-1]) for layer in layers}
    return sum(layer.activation_bytes for layer in layers if layer.name not in parents)


def summary_table(
    layers: list[Layer], title: str, *, depth: int | None = None, memory: bool = True
) -> Table:
    """Returns the table for a terminal, with totals in its footer.

    Args:
      layers: layers from `summarize`.
      title: title of the table.
      depth: number of leading names of a path; deeper layers are left out. None shows all.
      memory: whether to show the memory of outputs; with it some tables need 100 columns.
    """
    table = new_table(title)
    table.add_column("layer", footer="total", overflow="fold")
    table.add_column("kind", overflow="fold")
    table.add_column("output", overflow="fold")
    params, macs = sum(layer.params for layer in layers), total_macs(layers)
    # Numbers are never cut, whatever the width of the terminal.
    footers = {"parameters": f"{params:,}", "MACs": f"{macs:,}"}
    if memory:
        footers["memory"] = short_size(total_activation_bytes(layers))
    for name, total in footers.items():
        table.add_column(name, justify="right", footer=total, no_wrap=True)
    for layer in layers:
        # What does nothing is no layer, although networks with options call it.
        if layer.kind == "Identity" or (depth and layer.name.count("/") >= depth):
            continue
        # Of a feature pyramid, the last map.
        shape = "x".join(map(str, layer.output_shapes[-1])) if layer.output_shapes else ""
        indent = "  " * layer.name.count("/")
        table.add_row(
            indent + (layer.name.rsplit("/", 1)[-1] or "(network)"),
            layer.kind,
            shape,
            f"{layer.params:,}" if layer.params else "",
            f"{layer.macs:,}" if layer.macs else "",
            *([short_size(layer.activation_bytes)] if memory else []),
        )
    return table


def new_table(title: str) -> Table:
    """Returns an empty table that leaves the width to its columns."""
    return Table(title=title, title_justify="left", show_footer=True, box=SIMPLE_HEAD,
                 padding=(0, 1, 0, 0), pad_edge=False)  # fmt: skip
