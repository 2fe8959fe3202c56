"""Rematerialisation: activations within blocks are recomputed for their gradients.

Training stores each layer's output for its gradient, which is most of a step's memory. Here a
network is divided into about as many blocks as the square root of its layers. Only the inputs of
blocks are stored, and each block is recomputed for its gradient: memory grows with the square root
of the depth, for about a third more computation (Chen et al. 2016, arXiv:1604.06174). Results are
the same, and networks need no changes.
"""

import math
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax

from cnnlab.train.step import Apply

Path = tuple[str, ...]


def rematerialised(apply: Apply) -> Apply:
    """Wraps a flax module's `apply`: the same results and gradients with less memory in training.

    For accelerators; on CPU the compiler undoes it.
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
    """Paths of the submodules to recompute: the largest with at most sqrt(n) of n layers.

    Layers are submodules with a `kernel`. Single layers are not blocks, since storing all their
    inputs would save nothing.
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
