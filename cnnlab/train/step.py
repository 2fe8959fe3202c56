"""The training step and the evaluation step: pure functions of state, batch and hparams."""

import functools
import inspect
from collections.abc import Callable, Collection
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from cnnlab.arrays import Batch, HParams, PyTree, Sums
from cnnlab.models import as_network
from cnnlab.nn.dropout import dropout_rate
from cnnlab.train.state import AUGMENT, DROPOUT, Optimizer, TrainState, chain_of

# (state, batch, hyper-parameters) -> (state, sums); the last argument may be left out.
TrainStep = Callable[..., tuple[TrainState, Sums]]
# As `model.apply`: (variables, images, train=..., rngs=..., mutable=...) -> logits.
Apply = Callable[..., Any]

NEVER = 2**31 - 1

# A network may put the logits of auxiliary outputs into this collection while it trains; their
# losses count with its attribute `aux_weight`, which only such a network needs.
AUX_LOGITS = "aux_logits"


def make_train_step(
    model: nn.Module,
    task: Any,
    tx: Optimizer,
    *,
    augment: Callable[..., Batch] | None = None,
    accumulate_steps: int = 1,
    ema_decay: float | None = None,
    axis_name: str | None = None,
    frozen: Collection[str] = (),
    apply: Apply | None = None,
) -> TrainStep:
    """Builds `step(state, batch, hparams) -> (state, sums)`: one optimizer update, not compiled.

    The step draws its dropout masks and augmentation from `state.rng` and `state.step`, so it is a
    pure function: compile it with `jax.jit` or `jax.pmap` (with `axis_name`), or call it directly.
    `hparams` are the scalars of `cnnlab.train.hparams.hparams_of`. Missing ones keep the values
    with which model, task, augmentation and optimizer were built.
    `sums` are sums over examples (`loss`, `correct`, `count`) and over steps (`grad_norm`,
    `param_norm`, `steps`), so those of several steps add up; `first_bad_step` is the step whose
    loss or gradient was not finite, or `NEVER`.

    Args:
      model: the network, called as `model.apply(variables, images, train=True)`.
      task: computes `loss(logits, batch, train=True)` per example and `train_sums`. Its `loss`
        gets `hparams` if it has such a parameter.
      tx: an optax transformation, or a function from hyper-parameters to one.
      augment: maps (key, batch) to a batch with float images; gets `hparams` if it has such a
        parameter. None leaves the batch unchanged.
      accumulate_steps: number of equal parts in which the batch is computed.
      ema_decay: decay of the moving average of the parameters, if the state keeps one. Its first
        steps use the smaller decay (1 + step) / (10 + step), so that it forgets the initial
        weights.
      axis_name: name of the device axis under `pmap`, over which gradients, sums and batch
        statistics are combined. Under `jit` they are already global.
      frozen: top-level names of parameters, e.g. `backbone`, whose gradients are zero and not
        computed. The caller must pass a `tx` that leaves them unchanged as well.
      apply: replaces `model.apply`, e.g. to save memory or to shard images over devices.
    """
    apply = apply or model.apply

    def loss_and_sums(
        params: PyTree, collections: PyTree, batch: Batch, rngs: dict, hparams: HParams
    ) -> tuple:
        params = {**params, **{name: jax.lax.stop_gradient(params[name]) for name in frozen}}
        with dropout_rate(hparams.get("model.options.dropout_rate")):
            logits, collections = apply(
                {"params": params, **collections},
                batch["image"],
                train=True,
                rngs=rngs,
                mutable=[*collections, AUX_LOGITS],
            )
        collections = dict(collections)
        auxiliary = jax.tree.leaves(collections.pop(AUX_LOGITS, {}))
        loss = _bound(task.loss, hparams)
        losses = loss(logits, batch, train=True)
        if auxiliary:
            weight = as_network(model, "A loss of auxiliary logits").aux_weight
            losses += weight * sum(loss(aux, batch, train=True) for aux in auxiliary)
        mean = (losses * batch["mask"]).sum() / jnp.maximum(batch["mask"].sum(), 1.0)
        return mean, (collections, task.train_sums(logits, losses, batch))

    def gradients(state: TrainState, batch: Batch, rng: jax.Array, hparams: HParams) -> tuple:
        """Gradient of the mean loss, new collections, and sums, computed in parts."""
        collections, total = state.collections, None
        grad = jax.grad(loss_and_sums, has_aux=True)
        for part in range(accumulate_steps):
            # A Python loop, not a scan: XLA:CPU is slow with convolutions inside loops.
            piece = jax.tree.map(lambda x: _part(x, part, accumulate_steps), batch)  # noqa: B023
            rngs = {"dropout": jax.random.fold_in(rng, part)}
            grads, (collections, sums) = grad(state.params, collections, piece, rngs, hparams)
            part_total = (grads, sums)
            total = part_total if total is None else jax.tree.map(jnp.add, total, part_total)
        grads, sums = total
        return jax.tree.map(lambda g: g / accumulate_steps, grads), collections, sums

    def step(
        state: TrainState, batch: Batch, hparams: HParams | None = None
    ) -> tuple[TrainState, Sums]:
        hparams = hparams or {}
        keys = [state.key(AUGMENT), state.key(DROPOUT)]
        if axis_name is not None:
            index = jax.lax.axis_index(axis_name)
            keys = [jax.random.fold_in(key, index) for key in keys]
        if augment is not None:
            batch = _bound(augment, hparams)(keys[0], batch)
        grads, collections, sums = gradients(state, batch, keys[1], hparams)
        if axis_name is not None:
            grads, collections = jax.lax.pmean((grads, collections), axis_name)
            sums = jax.lax.psum(sums, axis_name)
        mean_loss = sums["loss"] / jnp.maximum(sums["count"], 1.0)
        update = optax.with_extra_args_support(chain_of(tx, hparams)).update
        updates, opt_state = update(grads, state.opt_state, state.params, value=mean_loss)
        params = optax.apply_updates(state.params, updates)
        ema_params = state.ema_params
        if ema_decay is not None:
            decay = hparams.get("optimizer.ema_decay", ema_decay)
            decay = jnp.minimum(decay, (1.0 + state.step) / (10.0 + state.step))
            # In this form, parameters that do not move keep their average to the last bit.
            ema_params = jax.tree.map(
                lambda new, old: old + (1.0 - decay) * (new - old), params, ema_params
            )
        grad_norm = optax.tree.norm(grads)
        finite = jnp.isfinite(mean_loss) & jnp.isfinite(grad_norm)
        sums |= {
            "grad_norm": grad_norm,
            "param_norm": optax.tree.norm(params),
            "steps": jnp.ones(()),
            "first_bad_step": jnp.where(finite, NEVER, state.step + 1),
        }
        state = state.replace(
            step=state.step + 1,
            params=params,
            collections=collections,
            opt_state=opt_state,
            ema_params=ema_params,
        )
        return state, sums

    return step


def _bound(function: Callable[..., Any], hparams: HParams) -> Callable[..., Any]:
    """Passes `hparams` to a function that has a parameter of that name; others stay as they are."""
    if "hparams" in inspect.signature(function).parameters:
        return functools.partial(function, hparams=hparams)
    return function


def _part(x: jax.Array, part: int, parts: int) -> jax.Array:
    if x.shape[0] % parts:
        raise ValueError(f"A batch of {x.shape[0]} cannot be divided into {parts} equal parts.")
    # Every parts-th example, not a block: under jit each device keeps its share of the batch.
    return x[part::parts]


def zero_sums(sums: Sums) -> Sums:
    """The neutral element of `add_sums`, for sums of these shapes."""
    zeros = {name: jnp.zeros(value.shape, value.dtype) for name, value in sums.items()}
    return zeros | {"first_bad_step": jnp.asarray(NEVER, jnp.int32)}


def add_sums(left: Sums, right: Sums) -> Sums:
    """Adds sums; of the first bad steps, the smaller one is kept."""
    total = {name: left[name] + right[name] for name in left}
    first = jnp.minimum(left["first_bad_step"], right["first_bad_step"])
    return total | {"first_bad_step": first}


def make_eval_step(
    model: nn.Module,
    task: Any,
    normalize: Callable[[Batch], Batch] | None = None,
    *,
    apply: Apply | None = None,
) -> Callable[[PyTree, Batch], Sums]:
    """Builds `step(variables, batch) -> sums`; the sums of several batches can be added.

    Examples with mask 0 are padding and are ignored. `apply` is as in `make_train_step`.
    """
    apply = apply or model.apply

    def step(variables: PyTree, batch: Batch) -> Sums:
        if normalize is not None:
            batch = normalize(batch)
        logits = apply(variables, batch["image"], train=False)
        return task.eval_sums(logits, batch)

    return step
