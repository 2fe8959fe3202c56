"""Tables of names: from the path of our layer to its name in another library.

A rule is a pair of templates. `{x}` on the left stands for letters and digits, `{x}` on the right
for the same text, and `{x0}` for that number counted from 0 instead of 1:

    ("backbone/stage{s}_block{b}/conv{n}", "layer{s}.{b0}.conv{n}")

turns `backbone/stage2_block1/conv3` into `layer2.0.conv3`.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class TensorSpec:
    """The tensors of a layer in another library's state dict, and how they differ.

    Attributes:
      name: name of the layer there.
      window: for the first dense layer after a flattened map, the height and width of that map:
        PyTorch flattens channels, height, width, and we height, width, channels.
      conv: whether the other library has a convolution over that window instead of a dense layer.
      layer_scale: name and shape of a ConvNeXt block's own tensor.
      transposed: whether this is a transposed convolution.
      leaves: names of the layer's tensors there, by ours, if they are not PyTorch's usual ones.
      parts: names there of the equal parts of one of the layer's vectors, in their order, by its
        name here; None for a part that is not stored, which is zero.
      constants: constants that the other library stores with them, by name.
    """

    name: str
    window: tuple[int, int] = (1, 1)
    conv: bool = False
    layer_scale: tuple[str, tuple[int, ...]] = ("layer_scale", (-1,))
    transposed: bool = False
    leaves: Mapping[str, str] = dataclasses.field(default_factory=dict)
    parts: Mapping[str, Sequence[str | None]] = dataclasses.field(default_factory=dict)
    constants: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)

    def key(self, leaf: str) -> str:
        """Returns the key of one of the layer's tensors there."""
        return f"{self.name}.{leaf}" if self.name else leaf


# Maps the paths of all layers of a network to their places; a path that is left out has none.
KeyMap = Callable[[Sequence[str]], Mapping[str, TensorSpec]]
Rule = tuple[str, str | TensorSpec]


def by_rules(*rules: Rule) -> KeyMap:
    """Returns a key map that applies the first matching rule to each layer."""
    compiled = [(_pattern(ours), _place(theirs)) for ours, theirs in rules]

    def naming(layers: Sequence[str]) -> dict[str, TensorSpec]:
        places = {}
        for layer in layers:
            for pattern, place in compiled:
                if match := pattern.fullmatch(layer):
                    places[layer] = dataclasses.replace(place, name=_fill(place.name, match))
                    break
        return places

    return naming


def in_order(layers: Sequence[str], pattern: str) -> list[str]:
    """Distinct matches of a template at the start of the paths, in the order of its numbers."""
    start = re.compile(_pattern(pattern).pattern + r"(?=/)")
    found = {match[0]: match.groups() for layer in layers if (match := start.match(layer))}
    return sorted(found, key=lambda text: tuple(map(int, found[text])))


def _pattern(template: str) -> re.Pattern:
    return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[a-z0-9]+)", template))


def _place(theirs: str | TensorSpec) -> TensorSpec:
    return theirs if isinstance(theirs, TensorSpec) else TensorSpec(theirs)


def _fill(template: str, match: re.Match) -> str:
    values = match.groupdict()
    from_zero = {f"{k}0": int(v) - 1 for k, v in values.items() if v.isdecimal()}
    return template.format(**values, **from_zero)
