"""Selects the faster mode of a population, side by side or in turn, by a short measurement."""

import dataclasses
import time
from collections.abc import Iterator
from typing import Literal

import jax

from cnnlab.data import ArraySource
from cnnlab.train.engines.base import Engine
from cnnlab.train.engines.compiled_steps import CompiledSteps
from cnnlab.train.engines.sequential import SequentialEngine
from cnnlab.train.engines.vmapped import VmapEngine
from cnnlab.train.hparams import program_key
from cnnlab.train.runtime.devices import JitParallel

# On CPU, the weights of more members than that do not stay in the caches together.
_MOST_ROWS_ON_CPU = 16
# A measurement takes about as long as a compilation, and may cost a tenth of the training.
_WORTH = 10
_ROUNDS = 3
_SECONDS = 0.1  # of each way in each round


@dataclasses.dataclass(frozen=True)
class Choice:
    """The mode in which a population is trained.

    Attributes:
      mode: `vmap`, side by side in one program, or `shared`, in turn with shared programs.
      reason: the reason as a sentence.
      seconds: seconds per step of one member, by mode; empty if nothing was measured.
    """

    mode: Literal["vmap", "shared"]
    reason: str
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)


_chosen: dict[tuple, Choice] = {}


def choose(compiled: CompiledSteps, members: int) -> Choice:
    """Selects the faster mode, measured once per program key, device and doubling of members.

    Nothing is measured if the answer is known: for a single member, a case that `obstacle` names,
    and on CPU a network with convolutions, which become grouped convolutions for several members
    and are then far slower. If a measurement would cost more than a tenth of the training, it is
    side by side.
    """
    device = jax.devices()[0].device_kind
    size = members.bit_length()  # numbers of members between two powers of two are one case
    key = (program_key(compiled.config), size, device, compiled.parallel.num_devices)
    if key not in _chosen:
        _chosen[key] = _choose(compiled, members)
    return _chosen[key]


def obstacle(compiled: CompiledSteps) -> str | None:
    """Returns why these runs cannot be trained side by side; None if they can."""
    if not isinstance(compiled.parallel, JitParallel):
        return "parallel=pmap gives each device random draws of its own"
    if jax.process_count() > 1:
        return "it would need several hosts to agree on each step"
    if compiled.config.sharding.parameters * compiled.config.sharding.height > 1:
        return "sharding cuts each of them over several devices"
    if compiled.dataset.info.crops_as_read:
        return "training images are cropped as they are read"
    if not isinstance(compiled.dataset.splits["train"], ArraySource):
        return f"{compiled.config.data.name} is too large to be held in memory"
    return None


def rows_at_once(members: int) -> int:
    """Returns the number of members trained side by side, in equal groups."""
    if jax.default_backend() != "cpu":
        return members
    groups = -(-members // _MOST_ROWS_ON_CPU)
    return -(-members // groups)


def _choose(compiled: CompiledSteps, members: int) -> Choice:
    if members == 1:
        return Choice("shared", "There is only one member.")
    impossible = obstacle(compiled)
    if impossible is not None:
        return Choice("shared", f"Side by side is not possible: {impossible}.")
    if jax.default_backend() == "cpu" and _has_convolutions(compiled):
        return Choice("shared", "On CPU, convolutions are faster one after the other.")
    rows = rows_at_once(members)
    try:
        # What is mostly faster comes first: where it is not worth a measurement, it is taken.
        began = time.monotonic()
        side_by_side = _side_by_side(compiled, rows)
        next(side_by_side)
        compile_seconds = time.monotonic() - began
        left = members * compiled.experiment(compiled.config).total_steps * next(side_by_side)
        if left < _WORTH * compile_seconds:
            return Choice("vmap", "Mostly faster, and the training is too short to measure it.")
        in_turn = _in_turn(compiled)
        next(in_turn)
        next(in_turn)
        rounds = [(next(in_turn), next(side_by_side)) for _ in range(_ROUNDS)]
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        return Choice("shared", "The device's memory does not hold all members at once.")
    # What disturbs a measurement makes it longer.
    shared, vmap = (min(times) for times in zip(*rounds, strict=True))
    mode = "vmap" if vmap < shared else "shared"
    return Choice(mode, "Measured.", {"shared": shared, "vmap": vmap})


def _has_convolutions(compiled: CompiledSteps) -> bool:
    """Whether there are kernels of convolutions; their banded form is no faster either."""
    params = compiled.experiment(compiled.config).abstract_state().params
    return any(weights.ndim >= 4 for weights in jax.tree.leaves(params))


def _in_turn(compiled: CompiledSteps) -> Iterator[float]:
    return _seconds_per_step(compiled, SequentialEngine(compiled, 1), 1)


def _side_by_side(compiled: CompiledSteps, members: int) -> Iterator[float]:
    return _seconds_per_step(compiled, VmapEngine(compiled, members), members)


def _seconds_per_step(compiled: CompiledSteps, engine: Engine, members: int) -> Iterator[float]:
    """Yields seconds per step and member: of one call, which compiles, then of many queued ones."""
    experiment, count = compiled.experiment(compiled.config), compiled.steps_per_call
    engine.fill([compiled.new_carry(experiment)])
    engine.set_hparams([experiment.hparams])
    seed = compiled.config.seed
    engine.set_seeds(range(seed, seed + engine.size))  # the dearer case: a batch for each

    def seconds(calls: int) -> float:
        began = time.monotonic()
        for _ in range(calls):
            engine.advance(range(count))
        engine.wait()
        return time.monotonic() - began

    yield seconds(1) / (count * members)
    calls = 1
    while True:
        spent = seconds(calls)
        if spent >= _SECONDS:
            yield spent / (calls * count * members)
        else:
            calls = max(2 * calls, int(calls * _SECONDS / spent))
