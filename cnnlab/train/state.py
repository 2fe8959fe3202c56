"""The state of a training run: everything that a step reads and writes."""

from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from cnnlab.pretrained import Fit

PyTree = Any

# Streams of randomness, each folded into the run's key by its number, then by the step: no key is
# threaded through the loop, so a resumed run draws what the unbroken run would have drawn.
INIT, AUGMENT, DROPOUT = 0, 1, 2


class TrainState(flax.struct.PyTreeNode):
    """A pytree of arrays; `step` updates have been made.

    Attributes:
      step: int32 scalar.
      params: trainable parameters.
      collections: all other variable collections of the network, e.g. `batch_stats`.
      opt_state: of the optax transformation.
      ema_params: moving average of `params`, or None when none is kept.
      rng: the run's key, which never changes; uint32 [2], so that it is saved like any array.
    """

    step: jax.Array
    params: PyTree
    collections: PyTree
    opt_state: PyTree
    ema_params: PyTree | None
    rng: jax.Array

    def key(self, number: int) -> jax.Array:
        """The key of one stream of randomness at this step."""
        return jax.random.fold_in(jax.random.fold_in(self.rng, number), self.step)

    @property
    def variables(self) -> dict[str, PyTree]:
        """What `model.apply` takes to evaluate: averaged weights where they are kept."""
        params = self.params if self.ema_params is None else self.ema_params
        return {"params": params, **self.collections}


def init_state(
    model: nn.Module,
    tx: optax.GradientTransformation,
    seed: jax.Array | int,
    *,
    image_shape: tuple[int, int, int],
    ema: bool = False,
) -> TrainState:
    """The state before the first update: a pure function of the seed.

    Args:
      model: maps images to logits, called with `train=False` here.
      tx: see `cnnlab.train.make_optimizer`.
      seed: of the run.
      image_shape: height, width, channels.
      ema: keep a moving average of the parameters.
    """
    rng = jax.random.PRNGKey(seed)
    image = jnp.zeros((1, *image_shape), jnp.float32)
    collections = dict(model.init(jax.random.fold_in(rng, INIT), image, train=False))
    params = collections.pop("params")
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        collections=collections,
        opt_state=tx.init(params),
        # A copy: the step donates its buffers, and one buffer cannot be donated twice.
        ema_params=jax.tree.map(jnp.copy, params) if ema else None,
        rng=rng,
    )


def create_state(
    model: nn.Module,
    tx: optax.GradientTransformation,
    *,
    image_shape: tuple[int, int, int],
    seed: int,
    ema: bool = False,
) -> TrainState:
    """Computes `init_state`, as one compiled program instead of hundreds of small ones."""

    # The seed is an argument, so that all seeds share one entry of the compilation cache.
    def init(seed: jax.Array) -> TrainState:
        return init_state(model, tx, seed, image_shape=image_shape, ema=ema)

    return compile_init(init)(jnp.uint32(seed))


def compile_init(init: Callable[..., TrainState]) -> Callable[..., TrainState]:
    """Compiles a function that runs once a run, in little time."""
    # On CPU, compiling a ResNet-18's random numbers took 5.7 s with LLVM's optimizations and 2.2 s
    # without.
    cpu = jax.default_backend() == "cpu"
    options = {"xla_backend_optimization_level": 0} if cpu else None
    return jax.jit(init, compiler_options=options)


def start_from(state: TrainState, found: Fit, tx: optax.GradientTransformation) -> TrainState:
    """The state before the first update, with weights from elsewhere in place of new ones.

    Args:
      state: see `init_state`.
      found: what was read; what it lacks stays new.
      tx: the optimizer; what it keeps is made anew, as it may start from the parameters.
    """
    variables = found.merge({"params": state.params, **state.collections})
    # Copies: steps donate their buffers, and arrays that were read are numpy's.
    variables = jax.tree.map(jnp.array, variables)
    params = variables.pop("params")
    return state.replace(
        params=params,
        collections=variables,
        opt_state=jax.jit(tx.init)(params),
        ema_params=None if state.ema_params is None else jax.tree.map(jnp.copy, params),
    )


def num_parameters(params: PyTree) -> int:
    """How many numbers a tree of parameters holds; shapes suffice."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))
