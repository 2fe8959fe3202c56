"""The parameters to evaluate, for optimizers that train at other ones (Schedule-Free)."""

from typing import Any

import jax
import optax
from optax.contrib import ScheduleFreeState

from cnnlab.arrays import PyTree


def evaluation_params(opt_state: PyTree, params: PyTree) -> PyTree:
    """Returns the parameters to evaluate and export; for other optimizers, `params` themselves.

    The schedule-free optimizers compute gradients at y and are evaluated at x, the average of their
    iterates z: y = (1 - b1) z + b1 x. As `optax.contrib.schedule_free_eval_params`, but finds such
    states
    anywhere in `opt_state`: in a chain, or in parts for some of the parameters.

    Args:
      opt_state: state of an optax transformation; arrays may have further leading axes.
      params: the trained parameters.

    References:
      Defazio et al. 2024, "The road less scheduled", arXiv:2405.15682, sec. 2.
    """
    states = [
        leaf
        for leaf in jax.tree.leaves(opt_state, is_leaf=_is_schedule_free)
        if _is_schedule_free(leaf)
    ]
    for state in states:
        params = jax.tree.map(
            lambda y, z, b1=state.b1: y if _is_masked(z) else _average(y, z, b1),
            params,
            state.z,
            is_leaf=_is_masked,
        )
    return params


def _average(y: jax.Array, z: jax.Array, b1: jax.Array) -> jax.Array:
    b1 = b1.reshape(b1.shape + (1,) * (y.ndim - b1.ndim))
    return ((y - (1.0 - b1) * z) / b1).astype(y.dtype)


def _is_schedule_free(node: Any) -> bool:
    return isinstance(node, ScheduleFreeState)


def _is_masked(node: Any) -> bool:
    return isinstance(node, optax.MaskedNode)
