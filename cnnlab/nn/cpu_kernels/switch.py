"""Switches between two equal forms of a layer: matrix products, or XLA's own operation."""

import contextlib
import contextvars
from collections.abc import Iterator

import jax

_chosen: contextvars.ContextVar[bool | None] = contextvars.ContextVar("matrix", default=None)


def cpu_kernels_enabled() -> bool:
    """Whether layers use matrix products where they can: on CPU, outside of the contexts below."""
    chosen = _chosen.get()
    return jax.default_backend() == "cpu" if chosen is None else chosen


@contextlib.contextmanager
def without_cpu_kernels() -> Iterator[None]:
    """Context in which convolutions and poolings are traced as such.

    For code that reads a trace or exports it for another device.
    """
    with _choosing(False):
        yield


@contextlib.contextmanager
def kernels_for_populations() -> Iterator[None]:
    """Context for traces that are mapped over the weights of several networks.

    A mapped convolution would become a grouped one; a mapped product is a batch of products.
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
