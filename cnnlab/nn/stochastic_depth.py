"""Stochastic depth (Huang et al. 2016, arXiv:1603.09382): residual branches dropped whole."""

from collections.abc import Callable
from functools import partial

import flax.linen as nn

from cnnlab.nn.dropout import Dropout


def drop_path(rate: float, *, train: bool) -> Callable[[], nn.Module]:
    """Builds a layer that drops a residual branch for each example with probability `rate`.

    Branches that stay are divided by 1 - rate, so that evaluation changes nothing, as in
    torchvision's `StochasticDepth` of mode `row` and timm's `DropPath`. (The paper multiplies by
    1 - rate in evaluation instead.)

    Args:
      rate: probability of dropping the branch, in [0, 1).
      train: whether to drop branches; in evaluation all are kept.
    """
    return partial(Dropout, rate, broadcast_dims=(1, 2, 3), deterministic=not train)


def stochastic_depth(
    rate: float, *, block: int, blocks: int, train: bool
) -> Callable[[], nn.Module]:
    """Builds the `drop_path` of one block of a network in which rates rise linearly.

    Args:
      rate: share of examples that lose a branch after the last block.
      block: number of this block; its share is `rate * block / blocks`. The paper (sec. 3) counts
        from 1, the published code of EfficientNet from 0.
      blocks: number of blocks.
      train: whether to drop branches; in evaluation all are kept.
    """
    return drop_path(rate * block / blocks, train=train)
