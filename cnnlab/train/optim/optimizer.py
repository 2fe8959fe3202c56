"""Optimizers from optax by name, with weight decay that excludes norms and biases."""

import inspect
import typing
from collections.abc import Callable
from typing import Any

import jax
import optax
import optax.contrib

from cnnlab.arrays import HParams
from cnnlab.config.options import check_options
from cnnlab.config.schema import OptimizerConfig
from cnnlab.errors import UserError, did_you_mean
from cnnlab.registry import OPTIMIZERS, register_optimizer
from cnnlab.train.optim.masked_decay import decay_by_mask

# Not usable in a step that computes one gradient: lbfgs, sophia and sam want functions, Hessians or
# second passes. optimistic_adam has been replaced by optimistic_adam_v2. rprop and sm3 take a
# number for a learning rate, and no schedule.
_EXCLUDED = frozenset({"lbfgs", "sophia", "sam", "optimistic_adam", "rprop", "sm3"})
# Without a mask for decay, and with estimates over all parameters together.
_GLOBAL = frozenset({"dadapt_adamw", "momo", "momo_adam", "prodigy"})
_PLAIN = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def _register_optax() -> None:
    """Registers optax's functions that create an optimizer from a learning rate."""
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
                register_optimizer(name)(function)


_register_optax()


def list_optimizers() -> list[str]:
    """Returns the names for `optimizer.name`."""
    return sorted(OPTIMIZERS.names())


def optimizer_options(name: str) -> dict[str, Any]:
    """Returns the options of an optimizer that have defaults, with these."""
    reserved = {"learning_rate", "weight_decay", "mask", "weight_decay_mask"}
    return {
        option: parameter.default
        for option, parameter in inspect.signature(OPTIMIZERS.get(name)).parameters.items()
        if option not in reserved and parameter.kind is not parameter.VAR_KEYWORD
    }


def decay_mask(params: Any) -> Any:
    """True for kernels; False for biases, norms' scales and others with fewer than two axes."""
    return jax.tree.map(lambda p: p.ndim > 1, params)


# A function of (hyper-parameters, learning rate) that chains optax transformations.
OptimizerFactory = Callable[[HParams, float | optax.Schedule], optax.GradientTransformation]


def make_optimizer(
    config: OptimizerConfig, learning_rate: float | optax.Schedule | None = None
) -> optax.GradientTransformation:
    """Builds the optax transformation that a config describes: clipping, decay, optimizer.

    Args:
      config: `optimizer` of the run's config.
      learning_rate: a schedule; None uses the config's constant rate.

    Raises:
      UserError: an unknown optimizer or option (the message names the nearest), or an option of
        the wrong type.
    """
    rate = config.learning_rate if learning_rate is None else learning_rate
    return optimizer_factory(config)({}, rate)


def optimizer_factory(config: OptimizerConfig) -> OptimizerFactory:
    """Checks an optimizer's config and returns a function that chains its transformations.

    As with `optax.inject_hyperparams`, the chain is built from hyper-parameters while tracing, so
    one compiled program serves all of their values.

    Args:
      config: `optimizer` of the run's config, with values for hyper-parameters that are not given.

    Raises:
      UserError: the optimizer or an option is unknown or wrong, as in `make_optimizer`.
    """
    known = optimizer_options(config.name)
    for option in config.options:
        if option not in known:
            raise UserError(
                f"Optimizer '{config.name}' has no option '{option}'.{did_you_mean(option, known)}"
            )
    factory = OPTIMIZERS.get(config.name)
    accepted = inspect.signature(factory).parameters
    # A number that is None by default, as sgd's momentum, tells its type by its annotation only.
    numbers = {n for n, d in known.items() if d is None and _may_be_number(accepted[n].annotation)}
    check_options(
        "optimizer.options",
        {n: v for n, v in config.options.items() if v is not None or n not in numbers},
        known | dict.fromkeys(numbers, 0.0),
    )
    mask = None if config.decay_norms_and_biases else decay_mask
    mask_name = "weight_decay_mask" if "weight_decay_mask" in accepted else "mask"
    fixed: dict[str, Any] = {}
    if "weight_decay" in accepted and mask_name in accepted and mask is not None:
        fixed[mask_name] = mask
    if config.name == "muon" and "muon_weight_dimension_numbers" not in config.options:
        fixed["muon_weight_dimension_numbers"] = _muon_dimension_numbers

    # Some factories decay every parameter they are given, and have no mask.
    spared = mask is not None and "weight_decay" in accepted and mask_name not in accepted

    def build(
        hparams: HParams, learning_rate: float | optax.Schedule
    ) -> optax.GradientTransformation:
        options = {n: hparams.get(f"optimizer.options.{n}", v) for n, v in config.options.items()}
        weight_decay = hparams.get("optimizer.weight_decay", config.weight_decay)
        chain = []
        if config.clip_norm is not None:
            clip_norm = hparams.get("optimizer.clip_norm", config.clip_norm)
            chain.append(optax.clip_by_global_norm(clip_norm))
        if "weight_decay" in accepted:
            # Passed also when it is 0: optax's own defaults decay.
            options["weight_decay"] = weight_decay
        elif config.weight_decay:
            chain.append(optax.add_decayed_weights(weight_decay, mask))
        tx = factory(learning_rate, **options, **fixed)
        if spared and config.weight_decay:
            without = factory(learning_rate, **(options | {"weight_decay": 0.0}), **fixed)
            tx = decay_by_mask(tx, without, decay_mask, whole=config.name in _GLOBAL)
        return optax.chain(*chain, tx)

    return build


def _may_be_number(annotation: Any) -> bool:
    kinds = set(typing.get_args(annotation))
    return float in kinds and kinds <= {*typing.get_args(jax.typing.ArrayLike), type(None)}


def _muon_dimension_numbers(params: Any) -> Any:
    """Hidden kernels as matrices from inputs (all axes except the last) to outputs.

    Jordan et al. 2024 ("Muon") orthogonalise the update of every hidden matrix, with a
    convolution as [height * width * input, output]; norms, biases and the last layer use adam.
    """

    def numbers(path: tuple, p: jax.Array) -> optax.contrib.MuonDimensionNumbers | None:
        if p.ndim < 2 or "logits" in [getattr(key, "key", None) for key in path]:
            return None
        return optax.contrib.MuonDimensionNumbers(tuple(range(p.ndim - 1)), p.ndim - 1)

    return jax.tree_util.tree_map_with_path(numbers, params)
