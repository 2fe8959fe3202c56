"""How the parts of a network are connected, read from its traced program."""

import dataclasses
from collections.abc import Collection, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.extend.core import Literal

from cnnlab.nn.cpu_kernels.switch import without_cpu_kernels

IMAGE = -1  # in place of a node's number

_POOLS = {"reduce_window_max": "max pool", "reduce_window_sum": "mean pool", "reduce_max": "max"}


@dataclasses.dataclass(frozen=True)
class Node:
    """A part of a network, or what is computed between parts.

    Attributes:
      name: path of the part, e.g. `backbone/conv1`; empty for a pooling between parts.
      kind: `part`, `max pool`, `mean pool`, `mean` and `max` over all positions, or `resize` of
        the logits.
      output_shape: without the batch axis; of a part, of the last thing that it computes.
      inputs: numbers of the nodes whose outputs it reads, ascending; `IMAGE` for the image.
      joins: how paths come together inside of a part: `add` (a shortcut), `concatenate`, or empty.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    inputs: tuple[int, ...]
    joins: str


def network_graph(
    model: nn.Module, image_shape: tuple[int, int, int], parts: Collection[str]
) -> list[Node]:
    """The parts of a network and the poolings between them, in the order of computation.

    What else lies between parts (activations, reshaping, sums, concatenations) hands on where its
    operands came from. Nothing is computed.

    Args:
      model: called as `model(images, train=False)`.
      image_shape: height, width, channels.
      parts: paths of the parts, see `cnnlab.analysis.network_parts`.
    """
    image = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    with without_cpu_kernels():
        variables = jax.eval_shape(
            lambda x: model.init(jax.random.PRNGKey(0), x, train=False), image
        )
        trace = jax.make_jaxpr(lambda x, v: model.apply(v, x, train=False))(image, variables)
    return _Reader(parts).read(trace.jaxpr)


class _Reader:
    """Follows the image through a program, equation by equation."""

    def __init__(self, parts: Collection[str]):
        # What a module around other parts computes itself lies between these.
        self._parts = {p for p in parts if not any(q.startswith(f"{p}/") for q in parts)}
        self._numbers: dict[str, int] = {}
        self._nodes: list[dict[str, Any]] = []

    def read(self, program: Any) -> list[Node]:
        origins: dict[Any, frozenset[int]] = {program.invars[0]: frozenset({IMAGE})}
        for equation in program.eqns:
            operands = [x for x in equation.invars if not isinstance(x, Literal)]
            known = [(x, origins[x]) for x in operands if x in origins]
            if known:
                found = self._origin(equation, known)
                origins |= dict.fromkeys(equation.outvars, found)
        output = program.outvars[0]
        if output.aval.ndim > 2 and output.aval.shape[1:] != self._nodes[-1]["output_shape"]:
            last = _node("", "resize") | {"inputs": set(origins[output])}
            self._nodes.append(last | {"output_shape": output.aval.shape[1:]})
        return [Node(**{**node, "inputs": tuple(sorted(node["inputs"]))}) for node in self._nodes]

    def _origin(self, equation: Any, known: Sequence[tuple[Any, frozenset[int]]]) -> frozenset[int]:
        """Where the results of an equation come from."""
        sources = frozenset().union(*(found for _, found in known))
        name = self._part(str(equation.source_info.name_stack))
        pooling = _pooling(equation)
        if name is None and not pooling:
            return sources
        if name is None:
            self._nodes.append(_node("", pooling))
            number = len(self._nodes) - 1
        else:
            if name not in self._numbers:
                self._numbers[name] = len(self._nodes)
                self._nodes.append(_node(name, "part"))
            number = self._numbers[name]
        node = self._nodes[number]
        node["inputs"] |= sources - {number}
        node["output_shape"] = equation.outvars[0].aval.shape[1:]
        maps = [x for x, _ in known if x.aval.ndim > 2]
        kind = {"add": "add", "concatenate": "concatenate"}.get(equation.primitive.name, "")
        if kind and len(maps) > 1 and (kind != "add" or maps[0].aval.shape == maps[1].aval.shape):
            node["joins"] = node["joins"] or kind
        return frozenset({number})

    def _part(self, stack: str) -> str | None:
        # `Classifier/Classifier.features/backbone/conv1`: the class, its method, and modules.
        path = [word for word in stack.split("/")[1:] if "." not in word]
        for length in (2, 1):
            name = "/".join(path[:length])
            if name in self._parts:
                return name
        return None


def _node(name: str, kind: str) -> dict[str, Any]:
    return {"name": name, "kind": kind, "output_shape": (), "inputs": set(), "joins": ""}


def _pooling(equation: Any) -> str:
    """What an equation between parts pools: windows, all positions, or nothing."""
    name = equation.primitive.name
    over_positions = tuple(equation.params.get("axes", ())) in ((1, 2), (1, 2, 3))
    if name in ("reduce_sum", "reduce_max") and not over_positions:
        return ""
    return "mean" if name == "reduce_sum" else _POOLS.get(name, "")
