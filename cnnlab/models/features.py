"""Features of a network: feature maps, named by their strides, and the embedding of each image."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.models.classifier import Classifier

EMBEDDING = "embedding"


def map_names(strides: Sequence[int]) -> list[str]:
    """Names of a backbone's maps, from fine to coarse; maps of the same stride are numbered.

    >>> map_names((2, 4, 16, 16))
    ['stride2', 'stride4', 'stride16_1', 'stride16_2']
    """
    total, seen, names = Counter(strides), Counter(), []
    for stride in strides:
        seen[stride] += 1
        number = f"_{seen[stride]}" if total[stride] > 1 else ""
        names.append(f"stride{stride}{number}")
    return names


def extract(model: Classifier, variables: Any, images: jax.Array) -> dict[str, jax.Array]:
    """Computes feature maps and embeddings of images in evaluation mode; a pure function for `jit`.

    The embedding is the input of the head's layer `logits`. For a head without such a layer
    (network in network, the original LeNet-5), or whose layer scores each position (SqueezeNet), it
    is the average of the coarsest map over its positions.

    >>> features = jax.jit(partial(extract, model))(variables, images)
    >>> features["stride4"].shape, features["embedding"].shape
    ((8, 56, 56, 256), (8, 2048))

    Args:
      model: a `Classifier` or another network with a backbone and a head.
      variables: variables of the model, as from `model.init`.
      images: normalised float images [batch, height, width, channels].

    Returns:
      The maps [batch, height, width, c] by the names of `map_names`, and `embedding` [batch, c];
      float32.
    """
    found: dict[str, Any] = {}

    def record(
        call: Callable[..., Any], args: tuple, kwargs: dict, context: nn.module.InterceptorContext
    ) -> Any:
        output = call(*args, **kwargs)
        if context.method_name == "__call__":
            if context.module.path == ("backbone",):
                found["maps"] = output
            elif context.module.path == ("head", "logits") and args[0].ndim == 2:
                found[EMBEDDING] = args[0]
        return output

    with nn.intercept_methods(record):
        model.apply(variables, images, train=False)
    maps = found["maps"]
    embedding = found.get(EMBEDDING, maps[-1].mean(axis=(1, 2)))
    features = dict(zip(map_names(model.backbone.strides), maps, strict=True))
    return {k: x.astype(jnp.float32) for k, x in (features | {EMBEDDING: embedding}).items()}
