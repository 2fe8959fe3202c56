"""Options of XLA's CPU compiler for the programs of a network."""

import functools

import jax

# Since jax 0.10, XLA's CPU compiler hands products, convolutions, elementwise chains and sums to
# YNNPACK. Its sums are worth keeping: without them, batch norm and its gradient take 1.3 to 3.2
# times as long. Its convolutions mostly are not, where several cores share a large batch
# (benchmarks/README.md, "What XLA leaves to YNNPACK on CPU").
_OPTIONS = {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_REDUCE"}


def compiler_options() -> dict[str, str] | None:
    """Returns `compiler_options` of `jax.jit` for a network's programs; None on other platforms."""
    if jax.default_backend() != "cpu" or not _are_known():
        return None
    return dict(_OPTIONS)


@functools.cache
def _are_known() -> bool:
    """Whether this jaxlib has the options: their names are experimental, and XLA refuses others."""
    try:
        jax.jit(lambda: 0, compiler_options=_OPTIONS).lower().compile()
    except jax.errors.JaxRuntimeError:
        return False
    return True
