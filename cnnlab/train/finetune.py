"""Optimizers for fine-tuning: the backbone frozen, slower than the head, or unfrozen part by part.

Each function takes and gives optax transformations, for parameters {"backbone": ..., "head": ...}:

>>> tx = split_optimizer(head=optax.adamw(1e-3), backbone=optax.adamw(1e-4))
>>> tx = split_optimizer(head=optax.adamw(1e-3), backbone=optax.set_to_zero())  # frozen
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from cnnlab.config.schema import Config
from cnnlab.errors import UserError
from cnnlab.tracing import is_on
from cnnlab.train.optimizer import make_optimizer
from cnnlab.train.schedule import epochs_to_steps, total_steps
from cnnlab.train.state import PyTree

BACKBONE = "backbone"


def split_optimizer(
    head: optax.GradientTransformation,
    backbone: optax.GradientTransformation | Mapping[str, optax.GradientTransformation],
) -> optax.GradientTransformationExtraArgs:
    """Updates the backbone's parameters by one optimizer, and all others by another.

    Args:
      head: of everything outside of the backbone.
      backbone: of the whole backbone, or one for each of its submodules, by name.
        `optax.set_to_zero()` freezes: it keeps no state, and lets no weight decay through.
    """
    parts = backbone if isinstance(backbone, Mapping) else None

    def label(path: tuple, _: Any) -> str:
        names = [key.key for key in path[:2]]
        if names[0] != BACKBONE:
            return "head"
        return BACKBONE if parts is None else f"{BACKBONE}_{names[1]}"

    transforms = {BACKBONE: backbone}
    if parts is not None:
        transforms = {f"{BACKBONE}_{name}": tx for name, tx in parts.items()}
    return optax.partition(
        {"head": head, **transforms}, lambda params: jax.tree_util.tree_map_with_path(label, params)
    )


class DelayedState(NamedTuple):
    """Of `delayed`: updates asked for so far, and the state of the optimizer."""

    count: jax.Array
    inner: Any


def delayed(tx: optax.GradientTransformation, steps: int) -> optax.GradientTransformationExtraArgs:
    """An optimizer that sleeps for its first `steps` updates: they are zero and leave no trace.

    It then starts as if new, so that moments are not corrected for steps in which there were none.
    Its own schedule starts then, too.
    """
    tx = optax.with_extra_args_support(tx)

    def init(params: PyTree) -> DelayedState:
        return DelayedState(jnp.zeros((), jnp.int32), tx.init(params))

    def update(
        updates: PyTree, state: DelayedState, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, DelayedState]:
        awake = state.count >= steps
        updates, inner = tx.update(updates, state.inner, params, **extra)
        updates = jax.tree.map(lambda u: jnp.where(awake, u, jnp.zeros_like(u)), updates)
        inner = jax.tree.map(lambda new, old: jnp.where(awake, new, old), inner, state.inner)
        return updates, DelayedState(optax.safe_increment(state.count), inner)

    return optax.GradientTransformationExtraArgs(init, update)


def unfreezing_steps(parts: Sequence[str], steps: int) -> dict[str, int]:
    """When each submodule of the backbone joins the training, in updates made before.

    Gradual unfreezing (Howard & Ruder 2018, arXiv:1801.06146, sec. 3.3): the head trains first;
    then the backbone's submodules join it one after another, from the last to the first, at equal
    distances; the first one joins at `steps`. The paper has one epoch between two of them.

    Args:
      parts: names of submodules in the order in which the network calls them; `backbone_parts`.
      steps: updates until all of the backbone trains.

    >>> unfreezing_steps(["conv1", "conv2"], 10)
    {'conv1': 10, 'conv2': 5}
    """
    count = len(parts)
    return {name: round((count - i) * steps / count) for i, name in enumerate(parts)}


def backbone_parts(model: nn.Module, image_shape: tuple[int, int, int]) -> list[str]:
    """Names of the backbone's submodules that have parameters, in the order of their first calls.

    Nothing is computed. Parameters that the backbone holds itself come first.

    Raises:
      UserError: a network whose backbone has no parameters.
    """
    called: list[str] = []

    def record(
        call: Callable[..., Any], args: tuple, kwargs: dict, context: nn.module.InterceptorContext
    ) -> Any:
        path = context.module.path
        if path[:1] == (BACKBONE,) and len(path) > 1 and path[1] not in called:
            called.append(path[1])
        return call(*args, **kwargs)

    image = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    with nn.intercept_methods(record):
        shapes = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), image)
    params = shapes["params"].get(BACKBONE, {})
    if not params:
        raise UserError("finetune: the backbone of this network has no parameters to fine-tune.")
    own = [name for name in params if name not in called]
    return own + [name for name in called if name in params]


def make_finetune_optimizer(
    config: Config,
    schedule: optax.Schedule,
    *,
    model: nn.Module,
    image_shape: tuple[int, int, int],
    num_examples: int,
) -> optax.GradientTransformation:
    """The optimizer of a run: `make_optimizer`, as `config.finetune` asks for it.

    `optimizer.clip_norm` bounds the norm over all parameters that train at that step.

    Args:
      config: of the run.
      schedule: learning rate of the head, as a function of updates made.
      model: see `cnnlab.models.Classifier`.
      image_shape: height, width, channels.
      num_examples: of the training split.

    Raises:
      UserError: a backbone without parameters, or one that the run is too short to unfreeze.
    """
    finetune, optimizer = config.finetune, config.optimizer
    gradual = finetune.unfreeze_epochs is not None
    if not (finetune.freeze_backbone or gradual or is_on(finetune.backbone_rate, off=1.0)):
        return make_optimizer(optimizer, schedule)
    parts = backbone_parts(model, image_shape)
    # Clipping looks at all parameters together, so it comes before they are divided.
    unclipped = dataclasses.replace(optimizer, clip_norm=None)

    def make(delay: int) -> optax.GradientTransformation:
        rate = finetune.backbone_rate
        tx = make_optimizer(unclipped, lambda count: rate * schedule(count + delay))
        return delayed(tx, delay) if delay else tx

    before = []
    if finetune.freeze_backbone:
        backbone = optax.set_to_zero()
    elif gradual:
        steps = epochs_to_steps(finetune.unfreeze_epochs, config, num_examples)
        total = total_steps(config, num_examples)
        if steps >= total:
            raise UserError(
                f"finetune.unfreeze_epochs={finetune.unfreeze_epochs} is {steps} steps, and the "
                f"whole run has only {total}."
            )
        starts = unfreezing_steps(parts, steps)
        before.append(_without_sleepers(starts))
        backbone = {name: make(start) for name, start in starts.items()}
    else:
        backbone = make(0)
    tx = split_optimizer(make_optimizer(unclipped, schedule), backbone)
    if optimizer.clip_norm is None:
        return tx
    return optax.chain(*before, optax.clip_by_global_norm(optimizer.clip_norm), tx)


def _without_sleepers(starts: Mapping[str, int]) -> optax.GradientTransformation:
    """Zeroes the gradients of the backbone's submodules before their steps in `starts`."""

    def update(updates: PyTree, count: jax.Array, params: PyTree | None = None) -> tuple:
        def masked(path: tuple, update: jax.Array) -> jax.Array:
            names = [key.key for key in path[:2]]
            if names[0] != BACKBONE:
                return update
            return jnp.where(count >= starts[names[1]], update, jnp.zeros_like(update))

        return jax.tree_util.tree_map_with_path(masked, updates), optax.safe_increment(count)

    return optax.GradientTransformation(lambda params: jnp.zeros((), jnp.int32), update)
