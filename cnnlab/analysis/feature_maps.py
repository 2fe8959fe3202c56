"""Feature maps of a network, and their most active channels."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnnlab.analysis.layers import check_layer, layer_outputs, layer_shapes
from cnnlab.models import Network, as_network
from cnnlab.models.features import map_names


def feature_maps(
    model: Network, variables: Any, images: jax.Array, *, layer: str | None = None
) -> dict[str, jax.Array]:
    """Returns the backbone's maps by the names of `map_names`, or the maps of one layer.

    Args:
      model: the network.
      variables: variables of the model, as from `model.init`.
      images: normalised float images [batch, height, width, channels].
      layer: name of a layer from `layer_shapes`; None uses the backbone's maps.

    Returns:
      float32 [batch, height, width, c] each, from fine to coarse.

    Raises:
      UserError: there is no such layer, or its output is not a map.
    """
    if layer is None:
        model = as_network(model, "feature_maps, unless a layer is named,")
        maps = model.apply(variables, images, method="features")
        found = dict(zip(map_names(model.backbone.strides), maps, strict=True))
    else:
        check_layer(layer, layer_shapes(model, variables, images.shape[1:]))
        found = {layer: layer_outputs(model, variables, images)[1][layer]}
    return {name: x.astype(jnp.float32) for name, x in found.items()}


def strongest_channels(maps: np.ndarray, count: int) -> np.ndarray:
    """Returns the channels that vary most over an image, most first, [batch, <= count].

    Constant channels carry no spatial information, however large their values are.

    Args:
      maps: [batch, height, width, c].
      count: number of channels; all if there are fewer.
    """
    if maps.shape[1] * maps.shape[2] == 1:  # nothing varies over one position
        spread = np.abs(maps[:, 0, 0])
    else:
        spread = np.asarray(maps, np.float32).std(axis=(1, 2))
    return np.argsort(-spread, axis=-1, kind="stable")[:, :count]
