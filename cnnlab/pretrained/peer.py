"""Descriptions of reference models: networks of other libraries that equal ours."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from cnnlab.pretrained.key_maps.rules import KeyMap


@dataclasses.dataclass(frozen=True)
class Argument:
    """An argument of the other library's network that corresponds to one of our options.

    Attributes:
      name: name of the argument there.
      values: values that it accepts there; None for any.
    """

    name: str
    values: Sequence[Any] | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class ReferenceModel:
    """A network of another library.

    Attributes:
      library: `torchvision`, `timm`, `smp` (segmentation_models_pytorch) or `efficientnet_pytorch`.
      name: name there; for smp `ARCHITECTURE-ENCODER`.
      architecture: our name of the architecture.
      options: our options with which both networks compute the same function.
      namings: key maps of its state dict; files are written with the first and read with any.
      weights: weights that the library offers, the default last: tags on the hub for timm, file
        names for torchvision.
      optional: pattern of keys that a network or a file may lack.
      arguments: our options that may differ from their defaults, and the arguments there.
      version: version that the network there demands of a state dict; None if it demands none.
    """

    library: str
    name: str
    architecture: str
    options: Mapping[str, Any]
    namings: Sequence[KeyMap]
    weights: Sequence[str] = ()
    optional: str | None = None
    arguments: Mapping[str, Argument] = dataclasses.field(default_factory=dict)
    version: int | None = None

    def __str__(self) -> str:
        return f"{self.library}/{self.name}"
