"""Features of a network: its maps, named by their strides, and the embedding of each image."""

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
    """The maps and the embedding of images, in evaluation; a pure function, which `jit` takes.

    The embedding is what the head's layer `logits` is given: what the network has made of the image
    before it decides on a class. A head without a layer of that name (network in network, the
    original LeNet-5) gives the average of the coarsest map over its positions.

    >>> features = jax.jit(partial(extract, model))(variables, images)
    >>> features["stride4"].shape, features["embedding"].shape
    ((8, 56, 56, 256), (8, 2048))

    Args:
      model: see `Classifier`.
      variables: as `model.init` gives them.
      images: normalised float images [batch, height, width, channels].

    Returns:
      Each map [batch, height, width, c] by its name, see `map_names`, and `embedding` [batch, c];
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
            elif context.module.path == ("head", "logits"):
                found[EMBEDDING] = args[0]
        return output

    with nn.intercept_methods(record):
        model.apply(variables, images, train=False)
    maps = found["maps"]
    embedding = found.get(EMBEDDING, maps[-1].mean(axis=(1, 2)))
    features = dict(zip(map_names(model.backbone.strides), maps, strict=True))
    return {k: x.astype(jnp.float32) for k, x in (features | {EMBEDDING: embedding}).items()}
