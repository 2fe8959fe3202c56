"""The state of a training run: everything that a step reads and writes."""

from collections.abc import Callable

import flax.struct
import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from cnnlab.arrays import HParams, PyTree
from cnnlab.train.optim.schedule_free import evaluation_params

# An optax transformation, or a function from hyper-parameters to one.
Optimizer = optax.GradientTransformation | Callable[[HParams], optax.GradientTransformation]

# Streams of randomness, each folded into the run's key by its number, then by the step: no key is
# threaded through the loop, so a resumed run draws what the unbroken run would have drawn.
INIT, AUGMENT, DROPOUT = 0, 1, 2


class TrainState(flax.struct.PyTreeNode):
    """State of training after `step` updates, a pytree of arrays.

    Attributes:
      step: int32 scalar.
      params: trainable parameters.
      collections: all other variable collections of the network, e.g. `batch_stats`.
      opt_state: state of the optax transformation.
      ema_params: moving average of `params`, or None if none is kept.
      rng: the run's key, which never changes; uint32 [2], so that it is saved like any array.
    """

    step: jax.Array
    params: PyTree
    collections: PyTree
    opt_state: PyTree
    ema_params: PyTree | None
    rng: jax.Array

    def key(self, number: int) -> jax.Array:
        """Returns the key of one stream of randomness at this step."""
        return jax.random.fold_in(jax.random.fold_in(self.rng, number), self.step)

    @property
    def variables(self) -> dict[str, PyTree]:
        """Variables for evaluation with `model.apply`; averaged weights if they are kept."""
        params = self.ema_params
        if params is None:
            params = evaluation_params(self.opt_state, self.params)
        return {"params": params, **self.collections}


def chain_of(tx: Optimizer, hparams: HParams) -> optax.GradientTransformation:
    """Returns the transformation of an optimizer for these hyper-parameters."""
    return tx if isinstance(tx, optax.GradientTransformation) else tx(hparams)


def init_state(
    model: nn.Module,
    tx: Optimizer,
    seed: jax.Array | int,
    *,
    image_shape: tuple[int, int, int],
    ema: bool = False,
    hparams: HParams | None = None,
) -> TrainState:
    """Computes the state before the first update, a pure function of the seed.

    Args:
      model: maps images to logits; called with `train=False` here.
      tx: an optax transformation, or a function from hyper-parameters to one.
      seed: seed of the run.
      image_shape: height, width and channels of images.
      ema: whether to keep a moving average of the parameters.
      hparams: hyper-parameters of `tx`, on which its initial state may depend.
    """
    rng = jax.random.PRNGKey(seed)
    image = jnp.zeros((1, *image_shape), jnp.float32)
    collections = dict(model.init(jax.random.fold_in(rng, INIT), image, train=False))
    params = collections.pop("params")
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        collections=collections,
        opt_state=chain_of(tx, hparams or {}).init(params),
        # A copy: the step donates its buffers, and one buffer cannot be donated twice.
        ema_params=jax.tree.map(jnp.copy, params) if ema else None,
        rng=rng,
    )


def create_state(
    model: nn.Module,
    tx: Optimizer,
    *,
    image_shape: tuple[int, int, int],
    seed: int,
    ema: bool = False,
) -> TrainState:
    """Computes `init_state` in one compiled program instead of hundreds of small ones."""

    # The seed is an argument, so that all seeds share one entry of the compilation cache.
    def init(seed: jax.Array) -> TrainState:
        return init_state(model, tx, seed, image_shape=image_shape, ema=ema)

    return compile_init(init)(jnp.uint32(seed))


def compile_init(init: Callable[..., TrainState]) -> Callable[..., TrainState]:
    """Compiles a function that runs once per run, with fast compilation."""
    # On CPU, compiling a ResNet-18's random numbers took 5.7 s with LLVM's optimizations and 2.2 s
    # without.
    cpu = jax.default_backend() == "cpu"
    options = {"xla_backend_optimization_level": 0} if cpu else None
    return jax.jit(init, compiler_options=options)


def num_parameters(params: PyTree) -> int:
    """Number of parameters in a tree of arrays or shapes."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))
