"""What is known of a network of another library that one of ours is equal to."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from cnnlab.pretrained.names.rules import Naming


@dataclasses.dataclass(frozen=True)
class Argument:
    """An argument with which the other library's network is made, for one of our options.

    Attributes:
      name: there.
      values: those that it takes there; None for any.
    """

    name: str
    values: Sequence[Any] | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Peer:
    """A network of another library.

    Attributes:
      library: `torchvision`, `timm`, `smp` (segmentation_models_pytorch) or `efficientnet_pytorch`.
      name: there; of smp `ARCHITECTURE-ENCODER`.
      architecture: our name.
      options: of ours, that make it the same function.
      namings: of its state dict; files are written with the first and read with any.
      weights: what the library offers to download, the default last: tags on the hub for timm, file
        names for torchvision.
      optional: a pattern of keys that a network or a file may lack.
      arguments: options of ours that may differ from their defaults, and what they are there.
    """

    library: str
    name: str
    architecture: str
    options: Mapping[str, Any]
    namings: Sequence[Naming]
    weights: Sequence[str] = ()
    optional: str | None = None
    arguments: Mapping[str, Argument] = dataclasses.field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.library}/{self.name}"
