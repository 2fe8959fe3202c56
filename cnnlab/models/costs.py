"""Size and cost of the architectures in their usual form, as a table; imports no jax."""

import functools
import json
from importlib import resources
from typing import NamedTuple


class Cost(NamedTuple):
    """Size and cost of an architecture.

    Attributes:
      image_shape: usual shape of an image, without the batch axis; channels last.
      num_classes: usual number of classes.
      params: number of parameters with these.
      macs: multiply-accumulates for one image, as `cnnlab.analysis.total_macs` counts them.
      weights: whether trained weights of known origin can be loaded by name.
    """

    image_shape: tuple[int, ...]
    num_classes: int
    params: int
    macs: int
    weights: bool


def usual_cost(name: str) -> Cost | None:
    """Returns the cost of an architecture; None for those of users."""
    row = _table().get(name)
    return row and Cost(tuple(row[0]), *row[1:])


@functools.cache
def _table() -> dict[str, list]:
    """The table that `python -m tests.models.make_costs` writes."""
    return json.loads(resources.files("cnnlab.models").joinpath("costs.json").read_text())
