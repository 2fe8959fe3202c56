"""Weight decay of selected parameters, for optax optimizers whose factories have no mask."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import optax

from cnnlab.arrays import PyTree


class BothStates(NamedTuple):
    """States of one optimizer with and without weight decay."""

    decayed: Any
    plain: Any


def decay_by_mask(
    decayed: optax.GradientTransformation,
    plain: optax.GradientTransformation,
    mask: Callable[[PyTree], PyTree],
    *,
    whole: bool,
) -> optax.GradientTransformation:
    """Updates masked parameters with an optimizer and the others with its variant without decay.

    Args:
      decayed: optimizer with weight decay.
      plain: the same optimizer without.
      mask: maps parameters to a tree of booleans, True for those that decay.
      whole: whether the optimizer estimates something over all parameters together, e.g. the
        distance to the solution (prodigy). Both then see all parameters, which doubles the memory
        of the state; otherwise each sees its own.
    """
    if not whole:
        return optax.partition(
            {True: decayed, False: plain},
            lambda params: jax.tree.map(bool, mask(params)),
        )
    decayed, plain = map(optax.with_extra_args_support, (decayed, plain))

    def init(params: PyTree) -> BothStates:
        return BothStates(decayed.init(params), plain.init(params))

    def update(
        updates: PyTree, state: BothStates, params: PyTree | None = None, **extra: Any
    ) -> tuple[PyTree, BothStates]:
        first, first_state = decayed.update(updates, state.decayed, params, **extra)
        second, second_state = plain.update(updates, state.plain, params, **extra)
        chosen = jax.tree.map(lambda use, a, b: a if use else b, mask(params), first, second)
        return chosen, BothStates(first_state, second_state)

    return optax.GradientTransformationExtraArgs(init, update)
