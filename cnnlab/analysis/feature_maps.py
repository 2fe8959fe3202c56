"""What a network makes of an image on its way: feature maps, and the channels that answer most."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnnlab.analysis.layers import check_layer, layer_outputs, layer_shapes
from cnnlab.models import Network
from cnnlab.models.features import map_names


def feature_maps(
    model: Network, variables: Any, images: jax.Array, *, layer: str | None = None
) -> dict[str, jax.Array]:
    """The backbone's maps by the names of `map_names`, or those of one layer by its name.

    Args:
      model: see `Network`.
      variables: as `model.init` gives them.
      images: normalised float images [batch, height, width, channels].
      layer: one that `layer_shapes` names.

    Returns:
      float32 [batch, height, width, c] each, from fine to coarse.

    Raises:
      UserError: there is no such layer, or it gives no maps.
    """
    if layer is None:
        maps = model.apply(variables, images, method="features")
        found = dict(zip(map_names(model.backbone.strides), maps, strict=True))
    else:
        check_layer(layer, layer_shapes(model, variables, images.shape[1:]))
        found = {layer: layer_outputs(model, variables, images)[1][layer]}
    return {name: x.astype(jnp.float32) for name, x in found.items()}


def strongest_channels(maps: np.ndarray, count: int) -> np.ndarray:
    """Numbers of the channels that vary most over an image, most first, [batch, <= count].

    A channel that is the same everywhere says nothing about where, however large it is.

    Args:
      maps: [batch, height, width, c].
      count: how many; all where there are fewer.
    """
    if maps.shape[1] * maps.shape[2] == 1:  # nothing varies over one position
        spread = np.abs(maps[:, 0, 0])
    else:
        spread = np.asarray(maps, np.float32).std(axis=(1, 2))
    return np.argsort(-spread, axis=-1, kind="stable")[:, :count]
