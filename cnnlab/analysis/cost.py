"""Cost of a network's parts: parameters, multiply-accumulates and memory of each block."""

import dataclasses

from cnnlab.analysis.summary import Layer


@dataclasses.dataclass(frozen=True)
class Part:
    """A layer or block including its submodules.

    Attributes:
      name: path of the module, e.g. `backbone/stage1_block1`.
      kind: class of the module, e.g. `Conv` or `BottleneckBlock`.
      output_shape: shape of the output without the batch axis; the last one of several.
      params: number of trainable parameters.
      macs: multiply-accumulates for one image.
      activation_bytes: bytes of its layers' outputs for one image.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    params: int
    macs: int
    activation_bytes: int


def network_parts(layers: list[Layer], depth: int = 2) -> list[Part]:
    """Sums the rows of a network's table over its parts, in order of computation.

    With a depth of 2 these are the modules that backbone and head call: `backbone/conv1`,
    `backbone/stage1_block1`, `head/logits`. Modules without parameters or multiply-accumulates
    (dropout, pooling) are left out.

    Args:
      layers: rows from `summarize`.
      depth: number of leading names of a path that identify a part.
    """
    parents = {"/".join(layer.name.split("/")[:-1]) for layer in layers}
    rows: dict[str, list[Layer]] = {}
    for layer in layers:
        path = layer.name.split("/")
        if len(path) >= depth or layer.params:
            rows.setdefault("/".join(path[:depth]), []).append(layer)
    parts = [
        Part(
            name=name,
            kind=inside[0].kind,
            output_shape=inside[0].output_shapes[-1],
            params=sum(layer.params for layer in inside),
            macs=sum(layer.macs for layer in inside),
            activation_bytes=sum(
                layer.activation_bytes for layer in inside if layer.name not in parents
            ),
        )
        for name, inside in rows.items()
    ]
    return [part for part in parts if part.params or part.macs]
