"""Optimizers for fine-tuning: the backbone frozen, slower than the head, or unfrozen part by part.

Each function takes and returns optax transformations, for parameters {"backbone": ..., "head":
...}:

>>> tx = split_optimizer(head=optax.adamw(1e-3), backbone=optax.adamw(1e-4))
>>> tx = split_optimizer(head=optax.adamw(1e-3), backbone=optax.set_to_zero())  # frozen
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from cnnlab.arrays import HParams, PyTree
from cnnlab.config.schema import FinetuneConfig, OptimizerConfig
from cnnlab.errors import UserError
from cnnlab.models import as_network
from cnnlab.train.optim.optimizer import optimizer_factory
from cnnlab.train.optim.run_length import RunLength
from cnnlab.train.optim.schedule import Schedule

BACKBONE = "backbone"


def split_optimizer(
    head: optax.GradientTransformation,
    backbone: optax.GradientTransformation | Mapping[str, optax.GradientTransformation],
) -> optax.GradientTransformationExtraArgs:
    """Updates the backbone's parameters with one optimizer and all others with another.

    Args:
      head: optimizer of everything outside of the backbone.
      backbone: optimizer of the whole backbone, or one per submodule by name.
        `optax.set_to_zero()` freezes: it has no state and no weight decay.
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
    """State of `delayed`: number of updates so far, and the state of the optimizer."""

    count: jax.Array
    inner: Any


def delayed(tx: optax.GradientTransformation, steps: int) -> optax.GradientTransformationExtraArgs:
    """An optimizer whose first `steps` updates are zero and do not change its state.

    It then starts as if new, so bias correction of moments and its own schedule begin there.
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
    """Number of updates after which each submodule of the backbone starts training.

    Gradual unfreezing (Howard & Ruder 2018, arXiv:1801.06146, sec. 3.3): the head trains first;
    the backbone's submodules follow one after another, from the last to the first, at equal
    distances; the first submodule starts at `steps`. The paper unfreezes one per epoch.

    Args:
      parts: names of submodules in the order of their calls, from `backbone_parts`.
      steps: number of updates until the whole backbone trains.

    >>> unfreezing_steps(["conv1", "conv2"], 10)
    {'conv1': 10, 'conv2': 5}
    """
    count = len(parts)
    return {name: round((count - i) * steps / count) for i, name in enumerate(parts)}


def backbone_parts(model: nn.Module, image_shape: tuple[int, int, int]) -> list[str]:
    """Names of the backbone's submodules that have parameters, in the order of their first calls.

    Traces the model only. Parameters of the backbone itself come first.

    Raises:
      UserError: the backbone has no parameters.
    """
    called: list[str] = []

    def record(
        call: Callable[..., Any], args: tuple, kwargs: dict, context: nn.module.InterceptorContext
    ) -> Any:
        path = context.module.path
        if path[:1] == (BACKBONE,) and len(path) > 1 and path[1] not in called:
            called.append(path[1])
        return call(*args, **kwargs)

    with nn.intercept_methods(record):
        params = _backbone_shapes(model, image_shape)
    if not params:
        raise UserError("finetune: the backbone of this network has no parameters to fine-tune.")
    own = [name for name in params if name not in called]
    return own + [name for name in called if name in params]


def _backbone_shapes(model: nn.Module, image_shape: tuple[int, int, int]) -> PyTree:
    """Shapes of the backbone's parameters; empty if it has none."""
    image = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    shapes = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), image)
    return shapes["params"].get(BACKBONE, {})


def layer_depths(params: PyTree, parts: Sequence[str]) -> dict[str, int]:
    """Distance of each of the backbone's submodules from the head, 1 for the last.

    A submodule without kernels, e.g. a norm that follows a convolution, belongs to the layer of the
    submodule before it, as in timm's groups.

    Args:
      params: parameters of the backbone, or their shapes.
      parts: names of submodules in the order of their calls, from `backbone_parts`.

    >>> shapes = {"conv1": np.zeros((9, 9)), "norm1": np.zeros(9), "conv2": np.zeros((9, 9))}
    >>> layer_depths(shapes, ["conv1", "norm1", "conv2"])
    {'conv1': 2, 'norm1': 2, 'conv2': 1}
    """
    layers: list[list[str]] = []
    for name in parts:
        kernels = any(leaf.ndim > 1 for leaf in jax.tree.leaves(params[name]))
        if kernels or not layers:
            layers.append([name])
        else:
            layers[-1].append(name)
    return {name: len(layers) - i for i, layer in enumerate(layers) for name in layer}


def make_finetune_optimizer(
    finetune: FinetuneConfig,
    optimizer: OptimizerConfig,
    schedule: Schedule,
    *,
    length: RunLength,
    model: nn.Module,
    image_shape: tuple[int, int, int],
) -> Callable[[HParams], optax.GradientTransformation]:
    """Builds the optimizer of a run as a function of its hyper-parameters.

    It is the one of `make_optimizer`, modified by `finetune`. `optimizer.clip_norm` bounds
    the norm over all parameters that train at a step. Everything that does not depend on
    hyper-parameters is computed here once, as in `optimizer_factory`.

    Args:
      finetune: which parts of the network train when, and how fast.
      optimizer: the config's optimizer.
      schedule: learning rate of the head as a function of the step.
      length: length of the run.
      model: the network, a `cnnlab.models.Classifier` or `Segmenter`.
      image_shape: height, width and channels of images.

    Raises:
      UserError: the backbone has no parameters, or the run is too short to unfreeze it.
    """
    gradual = finetune.unfreeze_epochs is not None
    layered = finetune.layer_decay != 1.0
    if not (finetune.freeze_backbone or gradual or layered or finetune.backbone_rate != 1.0):
        factory = optimizer_factory(optimizer)
        return lambda hparams: factory(hparams, partial(schedule, hparams=hparams))
    parts = backbone_parts(as_network(model, "finetune"), image_shape)
    # Clipping looks at all parameters together, so it comes before they are divided.
    unclipped = optimizer_factory(dataclasses.replace(optimizer, clip_norm=None))
    before, starts, depths = [], dict.fromkeys(parts, 0), dict.fromkeys(parts, 0)
    if layered:
        depths = layer_depths(_backbone_shapes(model, image_shape), parts)
    if gradual:
        steps = length.steps(finetune.unfreeze_epochs)
        if steps >= length.total:
            raise UserError(
                f"finetune.unfreeze_epochs={finetune.unfreeze_epochs} is {steps} steps, and the "
                f"whole run has only {length.total}."
            )
        starts = unfreezing_steps(parts, steps)
        before.append(_without_sleepers(starts))

    def build(hparams: HParams) -> optax.GradientTransformation:
        rate = hparams.get("finetune.backbone_rate", finetune.backbone_rate)
        decay = hparams.get("finetune.layer_decay", finetune.layer_decay)

        def backbone(delay: int = 0, depth: int = 0) -> optax.GradientTransformation:
            factor = rate * decay**depth
            tx = unclipped(hparams, lambda count: factor * schedule(count + delay, hparams))
            return delayed(tx, delay) if delay else tx

        head = unclipped(hparams, partial(schedule, hparams=hparams))
        if finetune.freeze_backbone:
            tx = split_optimizer(head, optax.set_to_zero())
        elif gradual or layered:
            names = {name: backbone(starts[name], depths[name]) for name in parts}
            tx = split_optimizer(head, names)
        else:
            tx = split_optimizer(head, backbone())
        if optimizer.clip_norm is None:
            return tx
        clip_norm = hparams.get("optimizer.clip_norm", optimizer.clip_norm)
        return optax.chain(*before, optax.clip_by_global_norm(clip_norm), tx)

    return build


def _without_sleepers(starts: Mapping[str, int]) -> optax.GradientTransformation:
    """Zeroes the gradients of each backbone submodule before its step in `starts`."""

    def update(updates: PyTree, count: jax.Array, params: PyTree | None = None) -> tuple:
        def masked(path: tuple, update: jax.Array) -> jax.Array:
            names = [key.key for key in path[:2]]
            if names[0] != BACKBONE:
                return update
            return jnp.where(count >= starts[names[1]], update, jnp.zeros_like(update))

        return jax.tree_util.tree_map_with_path(masked, updates), optax.safe_increment(count)

    return optax.GradientTransformation(lambda params: jnp.zeros((), jnp.int32), update)
