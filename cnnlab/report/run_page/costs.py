"""Cost of a run's network, as far as its config determines it."""

import dataclasses

from cnnlab.analysis.summary import summarize, total_activation_bytes, total_macs
from cnnlab.config import Config
from cnnlab.data import DatasetInfo
from cnnlab.train.experiment import build_experiment


@dataclasses.dataclass(frozen=True)
class Cost:
    """Cost per image of the run's data.

    Attributes:
      params: number of parameters.
      macs: multiply-accumulates of a forward pass.
      weight_bytes: bytes of the parameters in float32.
      activation_bytes: bytes of all layers' outputs in the dtype of computation, approximately the
        memory that training needs for the backward pass.
    """

    params: int
    macs: int
    weight_bytes: int
    activation_bytes: int


def network_cost(config: Config, info: DatasetInfo) -> Cost:
    """Counts by tracing; raises a `UserError` for an impossible network."""
    layers = summarize(build_experiment(config, info).model, info.image_shape)
    params = sum(layer.params for layer in layers)
    return Cost(params, total_macs(layers), 4 * params, total_activation_bytes(layers))
