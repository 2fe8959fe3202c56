"""How a population trains faster: side by side or one after the other, by a short measurement."""

import dataclasses
import time
from collections.abc import Callable, Iterator
from typing import Literal

import jax

from cnnlab.data import ArraySource
from cnnlab.sweep.population_rows import rows_of
from cnnlab.train.feed import make_feed
from cnnlab.train.numbers import skeleton, traceable_numbers
from cnnlab.train.parallel import JitParallel
from cnnlab.train.programs import Programs

# On CPU, the weights of more members than that do not stay in the caches together.
_MOST_ROWS_ON_CPU = 16
# A measurement takes about as long as a compilation, and may cost a tenth of the training.
_WORTH = 10
_ROUNDS = 3
_SECONDS = 0.1  # of each way in each round


@dataclasses.dataclass(frozen=True)
class Choice:
    """How a population is trained.

    Attributes:
      mode: `vmap`, side by side in one program, or `shared`, one after the other with programs
        that all share.
      reason: a sentence.
      seconds: of a step of one member, by mode; empty where nothing was measured.
    """

    mode: Literal["vmap", "shared"]
    reason: str
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)


_chosen: dict[tuple, Choice] = {}


def choose(programs: Programs, members: int) -> Choice:
    """The faster way, measured once for each skeleton, kind of device and twofold of members.

    Nothing is measured where the answer is known: a single member; a case that `obstacle` names;
    and on CPU a network with convolutions, which with weights of several members become grouped
    convolutions, far slower than one after the other. Nor is it where the training is so short that
    a measurement would cost more than a tenth of it: then it is side by side.
    """
    device = jax.devices()[0].device_kind
    size = members.bit_length()  # numbers of members between two powers of two are one case
    key = (skeleton(programs.config), size, device, programs.parallel.num_devices)
    if key not in _chosen:
        _chosen[key] = _choose(programs, members)
    return _chosen[key]


def obstacle(programs: Programs) -> str | None:
    """Why these runs cannot be trained side by side; None if they can."""
    if not isinstance(programs.parallel, JitParallel):
        return "parallel=pmap gives each device random draws of its own"
    if jax.process_count() > 1:
        return "it would need several hosts to agree on each step"
    if programs.config.sharding.parameters * programs.config.sharding.height > 1:
        return "sharding cuts each of them over several devices"
    if not isinstance(programs.dataset.splits["train"], ArraySource):
        return f"{programs.config.data.name} is too large to be held in memory"
    return None


def rows_at_once(members: int) -> int:
    """How many members are trained side by side, of equally many at a time."""
    if jax.default_backend() != "cpu":
        return members
    groups = -(-members // _MOST_ROWS_ON_CPU)
    return -(-members // groups)


def _choose(programs: Programs, members: int) -> Choice:
    if members == 1:
        return Choice("shared", "There is only one member.")
    impossible = obstacle(programs)
    if impossible is not None:
        return Choice("shared", f"Side by side is not possible: {impossible}.")
    if jax.default_backend() == "cpu" and _has_convolutions(programs):
        return Choice("shared", "On CPU, convolutions are faster one after the other.")
    rows = rows_at_once(members)
    try:
        # What is mostly faster comes first: where it is not worth a measurement, it is taken.
        began = time.monotonic()
        side_by_side = _side_by_side(programs, rows)
        next(side_by_side)
        compiled = time.monotonic() - began
        left = members * programs.setup(programs.config).total_steps * next(side_by_side)
        if left < _WORTH * compiled:
            return Choice("vmap", "Mostly faster, and the training is too short to measure it.")
        in_turn = _in_turn(programs)
        next(in_turn)
        next(in_turn)
        rounds = [(next(in_turn), next(side_by_side)) for _ in range(_ROUNDS)]
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        return Choice("shared", "The device's memory does not hold all members at once.")
    finally:
        rows_of(programs, rows).clear()
    # What disturbs a measurement makes it longer.
    shared, vmap = (min(times) for times in zip(*rounds, strict=True))
    mode = "vmap" if vmap < shared else "shared"
    return Choice(mode, "Measured.", {"shared": shared, "vmap": vmap})


def _has_convolutions(programs: Programs) -> bool:
    """By the weights: a band matrix that stands for a convolution does not gain either."""
    params = programs.setup(programs.config).abstract_state().params
    return any(weights.ndim >= 4 for weights in jax.tree.leaves(params))


def _in_turn(programs: Programs) -> Iterator[float]:
    """Yields seconds of a step; the first time, of one with compilation."""
    config, count = programs.config, programs.steps_per_call
    carry = programs.new_carry(programs.setup(config)) | {"numbers": traceable_numbers(config)}
    carry = programs.parallel.replicate(carry)
    feed = make_feed(
        programs.dataset.splits["train"],
        programs.parallel,
        seed=config.seed,
        batch_size=config.batch_size,
        start_step=0,
        stop_step=2**30,
        steps_per_call=count,
        num_workers=0,
    )

    def call() -> None:
        nonlocal carry
        carry = programs.train(count)(carry, next(feed)[1])

    for seconds in _times(call, lambda: jax.block_until_ready(carry)):
        yield seconds / count


def _side_by_side(programs: Programs, members: int) -> Iterator[float]:
    """Likewise, of one member's share of a step."""
    config, count = programs.config, programs.steps_per_call
    rows = rows_of(programs, members)
    rows.fill([programs.new_carry(programs.setup(config))])
    rows.set_numbers([traceable_numbers(config)])
    seeds = range(config.seed, config.seed + rows.size)  # the dearer case: a batch for each
    for seconds in _times(lambda: rows.advance(range(count), seeds), rows.wait):
        yield seconds / (count * members)


def _times(call: Callable[[], None], wait: Callable[[], None]) -> Iterator[float]:
    """Yields seconds of a call: of the first one, and then of many that are queued as one."""
    calls, least = 1, 0.0
    while True:
        began = time.monotonic()
        for _ in range(calls):
            call()
        wait()
        seconds = time.monotonic() - began
        if seconds < least:
            calls = max(2 * calls, int(calls * least / seconds))
            continue
        yield seconds / calls
        calls, least = (1 if not least else calls), _SECONDS
