"""Which of two equal forms a layer computes in: one that suits CPUs, or the plain one of XLA."""

import contextlib
import contextvars
from collections.abc import Iterator

import jax

_plain = contextvars.ContextVar("plain", default=False)


def cpu_forms() -> bool:
    """Whether layers take their forms for the CPU: on that backend, outside of `plain_forms`."""
    return jax.default_backend() == "cpu" and not _plain.get()


@contextlib.contextmanager
def plain_forms() -> Iterator[None]:
    """Traces made inside have a convolution where the network has one, and a pooling likewise.

    For those who read a trace, or take it to another device.
    """
    token = _plain.set(True)
    try:
        yield
    finally:
        _plain.reset(token)
