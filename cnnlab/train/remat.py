"""Less memory for training: activations inside of blocks are computed again for their gradients.

Training keeps what each layer gave until its gradient is due, and most of a step's memory is that.
Here a network is cut into about as many blocks as the square root of its layers; only what enters
a block is kept, and the block is computed a second time when its gradient is due: memory grows
with the square root of the depth, for about a third more computation (Chen et al. 2016,
arXiv:1604.06174). Results stay the same; networks need not know of it.
"""

import math
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax

from cnnlab.train.step import Apply

Path = tuple[str, ...]


def rematerialised(apply: Apply) -> Apply:
    """`apply` of a flax module, with the same results and gradients, and less memory in training.

    On CPU the compiler undoes it; it is for accelerators.
    """

    def applied(variables: Mapping[str, Any], *args: Any, **kwargs: Any) -> Any:
        chosen = blocks(variables["params"])
        entered: list[Path] = []

        def intercept(call: Any, args: Any, kwargs: Any, context: nn.module.InterceptorContext):
            path = context.module.path
            inner = path in entered or path not in chosen
            if inner or context.method_name != "__call__" or not _only_arrays(args):
                return call(*args, **kwargs)

            def block(module: nn.Module, *args: Any) -> Any:
                entered.append(path)
                try:
                    return module(*args, **kwargs)
                finally:
                    entered.remove(path)

            return nn.remat(block)(context.module, *args)

        with nn.intercept_methods(intercept):
            return apply(variables, *args, **kwargs)

    return applied


def blocks(params: Mapping[str, Any]) -> set[Path]:
    """Paths of the submodules to compute again: the largest with at most sqrt(n) of n layers.

    A layer is what has a `kernel`. Single layers are no blocks: to keep what enters each of them
    is to keep everything.
    """
    leaves, _ = jax.tree_util.tree_flatten_with_path(params)
    names = [tuple(entry.key for entry in path) for path, _ in leaves]
    layers = [path[:-1] for path in names if path[-1] == "kernel"]
    most = max(2, math.ceil(math.sqrt(len(layers))))
    found: set[Path] = set()

    def open_up(prefix: Path) -> None:
        inside = [path for path in layers if path[: len(prefix)] == prefix]
        if prefix and len(inside) <= most:
            found.update([prefix] if len(inside) > 1 else [])
            return
        for child in dict.fromkeys(path[len(prefix)] for path in inside if path != prefix):
            open_up((*prefix, child))

    open_up(())
    return found


def _only_arrays(args: Any) -> bool:
    return all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(args))
