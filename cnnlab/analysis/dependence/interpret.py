"""Interprets the trace of a function with reach instead of numbers."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from cnnlab.analysis.dependence.known import compute
from cnnlab.analysis.dependence.reach import of_constant, of_image, of_whole_image
from cnnlab.analysis.dependence.rules import RULES, Reach, Value

# Known arrays are computed, as the matrices of interpolation; larger ones count as unknown.
_LARGEST = 2**24


def interpret(jaxpr: Jaxpr, constants: Sequence[Any], inputs: Sequence[Value]) -> list[Value]:
    """Returns the reach of the outputs of a trace, or their known values.

    The outputs of a primitive without a rule are taken to depend on the whole image, which can only
    overestimate.

    Args:
      jaxpr: trace of the function.
      constants: arrays that the trace closes over.
      inputs: the reach of each argument, a known array, or None.
    """
    values = dict(zip(jaxpr.constvars, constants, strict=True))
    values.update(zip(jaxpr.invars, inputs, strict=True))

    def read(variable: Any) -> Value:
        return variable.val if isinstance(variable, Literal) else values[variable]

    last_use = {
        variable: number
        for number, eqn in enumerate(jaxpr.eqns)
        for variable in eqn.invars
        if not isinstance(variable, Literal)
    }
    for number, eqn in enumerate(jaxpr.eqns):
        arguments = [read(variable) for variable in eqn.invars]
        values.update(zip(eqn.outvars, _apply(eqn, arguments), strict=True))
        # Nothing is kept for longer than it is needed: the reach of attention is large.
        for variable in {v for v in eqn.invars if not isinstance(v, Literal)}:
            if last_use[variable] == number and variable not in jaxpr.outvars:
                del values[variable]
    return [read(variable) for variable in jaxpr.outvars]


def _apply(eqn: Any, arguments: list[Value]) -> list[Value]:
    inner = _inner(eqn)
    if inner is not None:
        return interpret(inner.jaxpr, inner.consts, arguments)
    if any(isinstance(x, Reach) for x in arguments):
        rule = RULES.get(eqn.primitive.name)
        array = None if rule is None else rule(eqn, arguments)
        if array is not None:
            return [Reach(np.ascontiguousarray(array))]
        return [Reach(of_whole_image(len(out.aval.shape))) for out in eqn.outvars]
    small = all(out.aval.size <= _LARGEST for out in eqn.outvars)
    if small and all(x is not None for x in arguments):
        return compute(eqn, arguments)
    return [None] * len(eqn.outvars)


def _inner(eqn: Any) -> ClosedJaxpr | None:
    """The function that an equation calls once with all of its arguments."""
    if eqn.primitive.name in ("jit", "pjit", "closed_call", "core_call", "remat", "checkpoint",
                              "custom_jvp_call", "custom_vjp_call"):  # fmt: skip
        inner = eqn.params.get("jaxpr", eqn.params.get("call_jaxpr"))
        return inner if isinstance(inner, ClosedJaxpr) else ClosedJaxpr(inner, ())
    return None


def follow(trace: ClosedJaxpr, image: int, shape: Sequence[int], axis: int) -> list[np.ndarray]:
    """Returns the reach of every output of a trace along one axis of the image.

    Args:
      trace: result of `jax.make_jaxpr`; one argument is the image, the others are parameters.
      image: index of that argument.
      shape: shape of the image.
      axis: axis of the image to follow.
    """
    inputs: list[Value] = [None] * len(trace.jaxpr.invars)
    inputs[image] = Reach(of_image(shape, axis))
    with jax.default_device(jax.devices("cpu")[0]):
        outputs = interpret(trace.jaxpr, trace.consts, inputs)
    return [
        x.array if isinstance(x, Reach) else of_constant(len(variable.aval.shape))
        for x, variable in zip(outputs, trace.jaxpr.outvars, strict=True)
    ]
