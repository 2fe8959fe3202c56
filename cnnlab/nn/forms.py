"""Which of two equal forms a layer computes in: matrix products, or the plain one of XLA."""

import contextlib
import contextvars
from collections.abc import Iterator

import jax

_chosen: contextvars.ContextVar[bool | None] = contextvars.ContextVar("matrix", default=None)


def matrix_forms() -> bool:
    """Whether layers are to compute in products of matrices, where they have such a form.

    Outside of the contexts below, on CPU.
    """
    chosen = _chosen.get()
    return jax.default_backend() == "cpu" if chosen is None else chosen


@contextlib.contextmanager
def plain_forms() -> Iterator[None]:
    """Traces made inside have a convolution where the network has one, and a pooling likewise.

    For those who read a trace, or take it to another device.
    """
    with _choosing(False):
        yield


@contextlib.contextmanager
def forms_for_populations() -> Iterator[None]:
    """Traces made inside are to be mapped over the weights of several networks.

    A convolution would then become one in groups, and a product a batch of them.
    """
    with _choosing(True):
        yield


@contextlib.contextmanager
def _choosing(matrix: bool) -> Iterator[None]:
    token = _chosen.set(matrix)
    try:
        yield
    finally:
        _chosen.reset(token)
