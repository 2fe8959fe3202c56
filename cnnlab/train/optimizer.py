"""Optimizers by name from optax, with weight decay that spares norms and biases."""

import inspect
import typing
from collections.abc import Callable
from typing import Any

import jax
import optax
import optax.contrib

from cnnlab.config.options import check_options
from cnnlab.config.schema import OptimizerConfig
from cnnlab.errors import UserError, did_you_mean
from cnnlab.tracing import is_on

# Not usable in a step that computes one gradient: lbfgs, sophia and sam want functions, Hessians or
# second passes. optimistic_adam has been replaced by optimistic_adam_v2. rprop and sm3 take a
# number for a learning rate, and no schedule.
_EXCLUDED = frozenset({"lbfgs", "sophia", "sam", "optimistic_adam", "rprop", "sm3"})
_PLAIN = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def _factories() -> dict[str, Callable[..., optax.GradientTransformation]]:
    """All functions of optax and optax.contrib that make an optimizer from a learning rate."""
    found = {}
    for module in (optax.contrib, optax):
        for name, function in vars(module).items():
            if name.startswith(("_", "scale_by")) or name in _EXCLUDED:
                continue
            if not inspect.isfunction(function):
                continue
            parameters = inspect.signature(function).parameters
            required = [
                p.name for p in parameters.values() if p.default is p.empty and p.kind in _PLAIN
            ]
            # adafactor's learning rate has a default, and is meant all the same.
            if "learning_rate" in parameters and required in ([], ["learning_rate"]):
                found[name] = function
    return found


def list_optimizers() -> list[str]:
    """Names that `optimizer.name` takes."""
    return sorted(_factories())


def optimizer_options(name: str) -> dict[str, Any]:
    """Options of an optimizer with their defaults; those without one are left out."""
    factories = _factories()
    if name not in factories:
        raise UserError(f"Unknown optimizer '{name}'.{did_you_mean(name, factories)}")
    reserved = {"learning_rate", "weight_decay", "mask", "weight_decay_mask"}
    return {
        option: parameter.default
        for option, parameter in inspect.signature(factories[name]).parameters.items()
        if option not in reserved and parameter.kind is not parameter.VAR_KEYWORD
    }


def decay_mask(params: Any) -> Any:
    """True for kernels; False for biases and norms' scales: what has fewer than two axes."""
    return jax.tree.map(lambda p: p.ndim > 1, params)


def make_optimizer(
    config: OptimizerConfig, learning_rate: float | optax.Schedule | None = None
) -> optax.GradientTransformation:
    """Builds the optax transformation that a config describes: clipping, decay, optimizer.

    Args:
      config: see `OptimizerConfig`; numbers may be traced.
      learning_rate: a schedule; None takes the config's constant rate.

    Raises:
      UserError: an unknown optimizer or option, and the nearest one is named; or an option of the
        wrong type.
    """
    known = optimizer_options(config.name)
    for option in config.options:
        if option not in known:
            raise UserError(
                f"Optimizer '{config.name}' has no option '{option}'.{did_you_mean(option, known)}"
            )
    factory = _factories()[config.name]
    accepted = inspect.signature(factory).parameters
    # A number that is None by default, as sgd's momentum, tells its type by its annotation only.
    numbers = {n for n, d in known.items() if d is None and _may_be_number(accepted[n].annotation)}
    check_options(
        "optimizer.options",
        {n: v for n, v in config.options.items() if v is not None or n not in numbers},
        known | dict.fromkeys(numbers, 0.0),
    )
    arguments = dict(config.options)
    chain = []
    if config.clip_norm is not None:
        chain.append(optax.clip_by_global_norm(config.clip_norm))
    mask = None if config.decay_norms_and_biases else decay_mask
    if "weight_decay" in accepted:
        # Passed also when it is 0: optax's own defaults decay.
        arguments["weight_decay"] = config.weight_decay
        mask_name = "weight_decay_mask" if "weight_decay_mask" in accepted else "mask"
        if mask_name in accepted and mask is not None:
            arguments[mask_name] = mask
    elif is_on(config.weight_decay):
        chain.append(optax.add_decayed_weights(config.weight_decay, mask))
    if config.name == "muon":
        arguments.setdefault("muon_weight_dimension_numbers", _muon_dimension_numbers)
    rate = config.learning_rate if learning_rate is None else learning_rate
    return optax.chain(*chain, factory(rate, **arguments))


def _may_be_number(annotation: Any) -> bool:
    kinds = set(typing.get_args(annotation))
    return float in kinds and kinds <= {*typing.get_args(jax.typing.ArrayLike), type(None)}


def _muon_dimension_numbers(params: Any) -> Any:
    """Hidden kernels as matrices from inputs (all axes but the last) to outputs.

    Jordan et al. 2024 ("Muon") orthogonalise the update of every hidden matrix, a convolution's
    taken as [height * width * input, output]; norms, biases and the last layer use adam.
    """

    def numbers(path: tuple, p: jax.Array) -> optax.contrib.MuonDimensionNumbers | None:
        if p.ndim < 2 or "logits" in [getattr(key, "key", None) for key in path]:
            return None
        return optax.contrib.MuonDimensionNumbers(tuple(range(p.ndim - 1)), p.ndim - 1)

    return jax.tree_util.tree_map_with_path(numbers, params)
