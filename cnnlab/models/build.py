"""Creates networks by the name of their architecture."""

import inspect
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from cnnlab.errors import UserError, did_you_mean
from cnnlab.models.catalog import model_entry, model_options


def create_model(
    name: str, *, num_classes: int, dtype: jnp.dtype | str = jnp.float32, **options: Any
) -> nn.Module:
    """Creates a network, a `flax.linen` module without parameters.

    Args:
      name: name of the architecture; `list_models` lists them.
      num_classes: number of classes, which is the width of the logits.
      dtype: dtype of computation; parameters are float32.
      **options: options of the architecture; `model_options` lists them with their defaults.

    Returns:
      A `cnnlab.models.Network`; for registered architectures, any module with
      `__call__(images, *, train)`.

    >>> model = create_model("resnet18", num_classes=10, stem="cifar")
    >>> variables = model.init(jax.random.key(0), jnp.zeros((1, 32, 32, 3)), train=False)

    Raises:
      UserError: an unknown name or option (the message names the nearest), or a registered
        factory that does not return a module.
    """
    factory = model_entry(name).load()
    known = model_options(name)
    for option in options:
        if option not in known:
            raise UserError(
                f"Model '{name}' has no option '{option}'.{did_you_mean(option, known)}"
            )
    # A flag's `none` has been read as None; for a text, as `norm` has it, the word itself is meant.
    words = {o: "none" for o, value in options.items() if value is None and type(known[o]) is str}
    try:
        inspect.signature(factory).bind(num_classes=num_classes, dtype=dtype, **options)
    except TypeError as error:
        raise UserError(
            f"The model '{name}' cannot be created with num_classes, dtype and its options "
            f"{sorted(options)}: {error}."
        ) from error
    model = factory(num_classes=num_classes, dtype=jnp.dtype(dtype), **(options | words))
    if not isinstance(model, nn.Module):
        raise UserError(
            f"The model '{name}' must be a flax.linen.Module, and its factory returns "
            f"{type(model).__name__}."
        )
    return model
