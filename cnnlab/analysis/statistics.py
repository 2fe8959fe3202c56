"""Statistics of activations and gradients per layer, to find vanishing or dead ones."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from cnnlab.analysis.layers import layer_outputs, layer_shapes
from cnnlab.models import Network

QUANTILES = (0.01, 0.25, 0.5, 0.75, 0.99)

_SAMPLE = 2**16  # values of a layer that its quantiles are taken from


class LayerStatistics(NamedTuple):
    """Statistics of the layers with parameters over a batch; arrays are [layers].

    Attributes:
      names: names of the layers, in order of computation.
      mean: mean of the layer's outputs, before an activation that is not part of it.
      std: standard deviation of the layer's outputs.
      quantiles: `QUANTILES` of the outputs, [layers, 5].
      off: share of channels that are never above 0, in [0, 1]. If ReLU follows, they are dead:
        their outputs and gradients are zero.
      gradient: root mean square of the loss's gradient with respect to the outputs, times the
        batch size, because the loss is a mean over images.
      weight: root mean square of the layer's parameters.
      weight_gradient: root mean square of the loss's gradient with respect to them.
    """

    names: tuple[str, ...]
    mean: np.ndarray
    std: np.ndarray
    quantiles: np.ndarray
    off: np.ndarray
    gradient: np.ndarray
    weight: np.ndarray
    weight_gradient: np.ndarray


def layer_statistics(
    model: Network,
    variables: Any,
    batch: Mapping[str, jax.Array],
    loss: Callable[[jax.Array, Mapping[str, jax.Array]], jax.Array],
) -> LayerStatistics:
    """Computes statistics of all layers with parameters in one pass, in evaluation mode.

    Args:
      model: the network.
      variables: variables of the model, as from `model.init`.
      batch: `image`, normalised float images, and the labels that the loss needs.
      loss: computes the loss of each example, [batch], as `Task.loss`.
    """
    shapes = layer_shapes(model, variables, batch["image"].shape[1:])
    names = tuple(name for name in shapes if _own(variables["params"], name))
    compute = jax.jit(partial(_compute, model, loss, names))
    columns = jax.device_get(compute(variables, batch))
    return LayerStatistics(names, **{name: np.array(column) for name, column in columns.items()})


def _own(params: Mapping[str, Any], name: str) -> list[jax.Array]:
    """The parameters of a layer itself, without submodules."""
    for part in name.partition("#")[0].split("/"):
        params = params.get(part, {})
    return [leaf for leaf in params.values() if not isinstance(leaf, Mapping)]


def _compute(
    model: Network,
    loss: Callable[..., jax.Array],
    names: tuple[str, ...],
    variables: Any,
    batch: Mapping[str, jax.Array],
) -> dict[str, list[jax.Array]]:
    images = batch["image"]
    outputs = jax.eval_shape(lambda: layer_outputs(model, variables, images)[1])
    probes = {name: jnp.zeros(outputs[name].shape, outputs[name].dtype) for name in names}

    def mean_loss(params: Any, probes: Any) -> tuple[jax.Array, dict[str, jax.Array]]:
        variables_now = {**variables, "params": params}
        logits, outputs = layer_outputs(model, variables_now, images, probes=probes)
        return loss(logits, batch).mean(), outputs

    gradients, outputs = jax.grad(mean_loss, argnums=(0, 1), has_aux=True)(
        variables["params"], probes
    )
    rows = []
    for name in names:
        x = outputs[name].astype(jnp.float32)
        sample = x.ravel()[:: -(-x.size // _SAMPLE)]
        highest = x.max(axis=tuple(range(x.ndim - 1)))
        rows.append(
            {
                "mean": x.mean(),
                "std": x.std(),
                "quantiles": jnp.quantile(sample, jnp.array(QUANTILES)),
                "off": (highest <= 0).mean(),
                "gradient": len(images) * _rms([gradients[1][name]]),
                "weight": _rms(_own(variables["params"], name)),
                "weight_gradient": _rms(_own(gradients[0], name)),
            }
        )
    return {key: [row[key] for row in rows] for key in rows[0]}


def _rms(arrays: list[jax.Array]) -> jax.Array:
    squares = sum(jnp.square(x.astype(jnp.float32)).sum() for x in arrays)
    return jnp.sqrt(squares / sum(x.size for x in arrays))
