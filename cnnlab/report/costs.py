"""What a run's network costs, as far as it follows from the config."""

import dataclasses

from cnnlab.analysis.summary import summarize, total_activation_bytes, total_macs
from cnnlab.config import Config
from cnnlab.data import DatasetInfo
from cnnlab.train.setup import make_setup


@dataclasses.dataclass(frozen=True)
class Cost:
    """Of one image of the run's data.

    Attributes:
      params: numbers that are trained.
      macs: multiply-accumulate operations of a forward pass.
      weight_bytes: of the parameters, float32.
      activation_bytes: outputs of all layers, in the type of computation: about what training must
        keep of each image for the backward pass.
    """

    params: int
    macs: int
    weight_bytes: int
    activation_bytes: int


def network_cost(config: Config, info: DatasetInfo) -> Cost:
    """Counts; nothing is computed. Raises a `UserError` for a config that makes no network."""
    layers = summarize(make_setup(config, info).model, info.image_shape)
    params = sum(layer.params for layer in layers)
    return Cost(params, total_macs(layers), 4 * params, total_activation_bytes(layers))
