"""The table of architectures, and the function that makes one by name.

To add an architecture, write one file in this folder (or, for segmentation, in its folder
`segmentation`) with a table `VARIANTS` and a function `build`, and add the module below.
"""

import fnmatch
import inspect
from types import ModuleType
from typing import Any

import jax.numpy as jnp

from cnnlab.errors import UserError, did_you_mean
from cnnlab.models import (
    alexnet,
    cifar_resnet,
    convnext,
    densenet,
    efficientnet,
    googlenet,
    lenet,
    mlp,
    mobilenet_v2,
    mobilenet_v3,
    nin,
    regnet,
    resnet,
    resnet9,
    resnet_v2,
    vgg,
)
from cnnlab.models.network import Network
from cnnlab.models.segmentation import (
    attention_unet,
    deeplabv3,
    deeplabv3plus,
    dilated_fcn,
    double_unet,
    encoder_unet,
    encoder_unetplusplus,
    fcn,
    fpn,
    linknet,
    manet,
    missformer,
    multiresunet,
    pspnet,
    r2_unet,
    resunet,
    resunetplusplus,
    sa_unet,
    swin_unet,
    transunet,
    u2net,
    uctransnet,
    unet,
    unet3d,
    unet3plus,
    unetplusplus,
    unext,
    vnet,
)

_CLASSIFICATION: tuple[ModuleType, ...] = (
    mlp,
    lenet,
    alexnet,
    vgg,
    nin,
    googlenet,
    resnet,
    cifar_resnet,
    resnet_v2,
    resnet9,
    densenet,
    regnet,
    convnext,
    mobilenet_v2,
    mobilenet_v3,
    efficientnet,
)
_SEGMENTATION: tuple[ModuleType, ...] = (
    unet,
    encoder_unet,
    fcn,
    dilated_fcn,
    deeplabv3,
    deeplabv3plus,
    encoder_unetplusplus,
    linknet,
    manet,
    fpn,
    pspnet,
    unetplusplus,
    attention_unet,
    r2_unet,
    u2net,
    resunet,
    resunetplusplus,
    unext,
    unet3plus,
    multiresunet,
    double_unet,
    transunet,
    swin_unet,
    sa_unet,
    unet3d,
    vnet,
    uctransnet,
    missformer,
)

_FAMILIES = {"classification": _CLASSIFICATION, "segmentation": _SEGMENTATION}
_VARIANTS = {
    name: family
    for families in _FAMILIES.values()
    for family in families
    for name in family.VARIANTS
}

# Names that `config.model.name` knows too, but that make no network.
BASELINES = ("hog",)


def list_models(pattern: str = "*", *, task: str | None = None) -> list[str]:
    """Names of the architectures that match a shell pattern, e.g. `resnet*`.

    Args:
      pattern: see `fnmatch`.
      task: only those of `classification` or of `segmentation`; None lists both.
    """
    names = [name for name in _VARIANTS if task in (None, model_task(name))]
    return fnmatch.filter(names, pattern)


def model_task(name: str) -> str:
    """What an architecture is for: `classification` or `segmentation`."""
    return next(task for task, families in _FAMILIES.items() if _family(name) in families)


def model_source(name: str) -> str:
    """The first line of the file that defines an architecture: what it is, and its paper."""
    return _family(name).__doc__.strip().splitlines()[0]


def model_options(name: str) -> dict[str, Any]:
    """Options of an architecture with their defaults; `create_model` takes them by keyword."""
    family = _family(name)
    parameters = inspect.signature(family.build).parameters
    defaults = {
        option: parameter.default
        for option, parameter in parameters.items()
        if option not in ("num_classes", "dtype")
    }
    return defaults | family.VARIANTS[name]


def create_model(
    name: str, *, num_classes: int, dtype: jnp.dtype | str = jnp.float32, **options: Any
) -> Network:
    """Makes a network; a pure `flax.linen` module that holds no parameters yet.

    Args:
      name: see `list_models`.
      num_classes: width of the logits.
      dtype: type of computation; parameters are float32.
      **options: see `model_options`.

    >>> model = create_model("resnet18", num_classes=10, stem="cifar")
    >>> variables = model.init(jax.random.key(0), jnp.zeros((1, 32, 32, 3)), train=False)

    Raises:
      UserError: an unknown name or option; the nearest one is named.
    """
    family = _family(name)
    known = model_options(name)
    for option in options:
        if option not in known:
            raise UserError(
                f"Model '{name}' has no option '{option}'.{did_you_mean(option, known)}"
            )
    # A flag's `none` has been read as None; for a text, as `norm` has it, the word itself is meant.
    words = {o: "none" for o, value in options.items() if value is None and type(known[o]) is str}
    arguments = family.VARIANTS[name] | options | words
    return family.build(num_classes=num_classes, dtype=jnp.dtype(dtype), **arguments)


def _family(name: str) -> ModuleType:
    if name in BASELINES:
        raise UserError(
            f"'{name}' is a classical baseline and no network, so it has no layers: "
            "'launch.py train' fits it, as does cnnlab.classical.fit."
        )
    if name not in _VARIANTS:
        names = [*_VARIANTS, *BASELINES]
        raise UserError(f"Unknown model '{name}'.{did_you_mean(name, names)}")
    return _VARIANTS[name]
