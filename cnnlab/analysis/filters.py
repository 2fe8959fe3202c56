"""Kernels of the first layer, as small images."""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from cnnlab.errors import UserError
from cnnlab.models import Network


class Filters(NamedTuple):
    """Kernels of one layer.

    Attributes:
      layer: name of the layer.
      kernels: float32 [filters, height, width, channels].
    """

    layer: str
    kernels: np.ndarray


def first_filters(model: Network, variables: Any, image_shape: tuple[int, int, int]) -> Filters:
    """Returns the kernels of the first layer that has any.

    Kernels of a dense layer on the pixels are images of the full size, one per unit.

    Args:
      model: the network.
      variables: variables of the model, as from `model.init`.
      image_shape: height, width and channels; the model is only traced.

    Raises:
      UserError: the first layer is neither a convolution nor dense on the pixels.
    """
    found: list[tuple[str, Any]] = []

    def record(
        call: Callable[..., Any], args: tuple, kwargs: dict, context: nn.module.InterceptorContext
    ) -> Any:
        module = context.module
        output = call(*args, **kwargs)
        if not found and module.has_variable("params", "kernel"):
            found.append(("/".join(module.path), args[0].shape))
        return output

    images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    with nn.intercept_methods(record):
        jax.eval_shape(lambda v, x: model.apply(v, x, train=False), variables, images)
    layer, shape = found[0]
    kernel = variables["params"]
    for name in layer.split("/"):
        kernel = kernel[name]
    kernel = np.asarray(kernel["kernel"], np.float32)
    if kernel.ndim == 2 and shape == (1, np.prod(image_shape)):
        kernel = kernel.reshape(*image_shape, -1)
    if kernel.ndim != 4:
        raise UserError(
            f"The first layer with a kernel, '{layer}', has one of shape {kernel.shape}, which "
            "cannot be shown as images."
        )
    return Filters(layer, np.moveaxis(kernel, -1, 0))
