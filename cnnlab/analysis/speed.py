"""Where the time of a training run goes: input, step and host; compilation, memory, utilisation."""

import dataclasses
import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from cnnlab.analysis.summary import summarize, total_macs
from cnnlab.config import Config
from cnnlab.data import Dataset
from cnnlab.errors import UserError
from cnnlab.train.feed import make_feed
from cnnlab.train.numbers import traceable_numbers
from cnnlab.train.programs import Programs

# Rounds of each timing, of which the median counts, and how long one of them should take.
_ROUNDS, _ROUND_SECONDS = 5, 0.5


@dataclasses.dataclass(frozen=True)
class Speed:
    """What was measured; times are of one update, and medians.

    Attributes:
      device: kind and number of the devices.
      batch_size: images of one update.
      steps_per_call: updates of one call of the compiled program.
      loop_ms: milliseconds of an update as a run makes them, input included.
      step_ms: of the compiled program alone, on a batch that lies on the device.
      input_ms: until the next batch lies on the device, when nothing else happens.
      trace_seconds: from Python to the program that the compiler is given.
      compile_seconds: of that program, with the compilation cache left out.
      peak_memory: bytes that the program needs on a device: its arguments (state and batch),
        results and temporaries, as its compiler planned them.
      flops: of an update, see `step_flops`.
      matmul_flops: operations a second of a large matrix product in the network's type on all
        devices, measured in the same run.
    """

    device: str
    batch_size: int
    steps_per_call: int
    loop_ms: float
    step_ms: float
    input_ms: float
    trace_seconds: float
    compile_seconds: float
    peak_memory: int
    flops: float
    matmul_flops: float

    @property
    def images_per_second(self) -> float:
        """Of the whole loop."""
        return self.batch_size / self.loop_ms * 1e3

    @property
    def waiting(self) -> float:
        """Share of the loop's time in which the device waits for input and host, in [0, 1]."""
        return max(0.0, 1 - self.step_ms / self.loop_ms)

    @property
    def utilisation(self) -> float:
        """Operations of the step a second, as a share of the matrix product's (MFU)."""
        return self.flops / (self.step_ms / 1e3) / self.matmul_flops


@dataclasses.dataclass(frozen=True)
class CompiledStep:
    """The training program of a run, compiled from shapes: nothing was computed.

    Attributes:
      call: `call(carry, batch) -> carry`.
      trace_seconds: from Python to the program that the compiler is given.
      compile_seconds: of that program, with the compilation cache left out.
      state_memory: bytes of the arguments (state and batch) and results on a device; a result that
        takes an argument's place counts once.
      temporary_memory: bytes of what lies in between, as the compiler planned them: above all
        activations that are kept for the gradients.
    """

    call: Callable[..., Any]
    trace_seconds: float
    compile_seconds: float
    state_memory: int
    temporary_memory: int


def compile_step(programs: Programs) -> CompiledStep:
    """Compiles what a run with these programs trains with."""
    setup, parallel = programs.setup(programs.config), programs.parallel
    count = programs.steps_per_call
    carry = parallel.abstract({"state": setup.abstract_state(), "window": programs.zero_window})
    # Arrays, not shapes: those would not keep that numbers are weakly typed.
    numbers = jax.tree.map(jnp.asarray, traceable_numbers(programs.config))
    batch = setup.abstract_batch()
    if count > 1:
        batch = {
            name: jax.ShapeDtypeStruct((count, *x.shape), x.dtype) for name, x in batch.items()
        }
    began = time.perf_counter()
    lowered = programs.train(count).lower(carry | parallel.replicate({"numbers": numbers}), batch)
    trace_seconds = time.perf_counter() - began
    compiled, compile_seconds = _compile(lowered)
    memory = compiled.memory_analysis()
    return CompiledStep(
        call=compiled,
        trace_seconds=trace_seconds,
        compile_seconds=compile_seconds,
        state_memory=memory.argument_size_in_bytes
        + memory.output_size_in_bytes
        - memory.alias_size_in_bytes,
        temporary_memory=memory.temp_size_in_bytes,
    )


def measure_speed(
    config: Config, dataset: Dataset | None = None, *, profile: str | Path | None = None
) -> Speed:
    """Trains a few seconds as `config` says, without evaluation, checkpoints and records.

    Args:
      config: any experiment.
      dataset: its data; None loads what the config names.
      profile: folder for a trace of some updates, for TensorBoard's profiler and for Perfetto
        (ui.perfetto.dev opens the file that ends in .json.gz); None writes none.

    Raises:
      UserError: a mistake in the config, or `parallel=pmap`.
    """
    if config.parallel != "jit":
        raise UserError(f"parallel={config.parallel}: the benchmark measures parallel=jit alone.")
    programs = Programs(config, dataset)
    count = programs.steps_per_call
    step = compile_step(programs)
    batches = _batches(programs)
    train = _trainer(programs, step)

    def fetch(calls: int) -> None:
        for _ in range(calls):
            jax.block_until_ready(next(batches))

    same = itertools.repeat(next(batches))
    step_ms, input_ms, loop_ms = (
        milliseconds / count
        for milliseconds in _medians_ms(
            [lambda calls: train(calls, same), fetch, lambda calls: train(calls, batches)]
        )
    )
    if profile is not None:
        with jax.profiler.trace(str(profile), create_perfetto_trace=True):
            train(max(1, 10 // count), batches)
    devices = programs.parallel.mesh.devices.flatten()
    return Speed(
        device=f"{len(devices)} x {devices[0].device_kind}",
        batch_size=config.batch_size,
        steps_per_call=count,
        loop_ms=loop_ms,
        step_ms=step_ms,
        input_ms=input_ms,
        trace_seconds=step.trace_seconds,
        compile_seconds=step.compile_seconds,
        peak_memory=step.state_memory + step.temporary_memory,
        flops=step_flops(programs),
        matmul_flops=len(devices) * matmul_rate(jnp.dtype(config.model.dtype)),
    )


def step_flops(programs: Programs) -> float:
    """Floating-point operations of an update by the usual count.

    Three times (forward, and backward for activations and weights) two for each multiply-accumulate
    of convolutions and dense layers. What a form of the computation does besides is not counted.
    """
    setup = programs.setup(programs.config)
    macs = total_macs(summarize(setup.model, setup.info.image_shape))
    return 6.0 * macs * programs.config.batch_size


def step_milliseconds(programs: Programs, step: CompiledStep) -> float:
    """Of one update by the compiled program alone, on a batch that lies on the device; a median."""
    train, same = _trainer(programs, step), itertools.repeat(next(_batches(programs)))
    return _medians_ms([lambda calls: train(calls, same)])[0] / programs.steps_per_call


def matmul_rate(dtype: jnp.dtype, size: int | None = None) -> float:
    """Operations a second of a square matrix product on one device.

    Args:
      dtype: of the factors.
      size: rows and columns; None takes 1,024 on CPU and 8,192 elsewhere.
    """
    size = size or (1024 if jax.default_backend() == "cpu" else 8192)
    # Random, as a product of equal numbers needs less power, so that some devices run it faster.
    factor = jax.random.normal(jax.random.key(0), (size, size), dtype)
    product = jax.jit(lambda a, b: a @ b)

    def run(calls: int) -> None:
        for _ in range(calls):
            result = product(factor, factor)
        jax.block_until_ready(result)

    return 2 * size**3 / (_medians_ms([run])[0] / 1e3)


def _trainer(programs: Programs, step: CompiledStep) -> Callable[[int, Iterator[Any]], None]:
    """`train(calls, batches)`, which waits for its end."""
    numbers = jax.tree.map(jnp.asarray, traceable_numbers(programs.config))
    carry = programs.new_carry(programs.setup(programs.config)) | {"numbers": numbers}
    carry = programs.parallel.replicate(carry)

    def train(calls: int, batches: Iterator[Any]) -> None:
        nonlocal carry
        for _ in range(calls):
            carry = step.call(carry, next(batches))
        jax.block_until_ready(carry)

    return train


def _batches(programs: Programs) -> Iterator[dict[str, jax.Array]]:
    """Whole batches of the training split, for ever."""
    config, count = programs.config, programs.steps_per_call
    feed = make_feed(
        programs.dataset.splits["train"],
        programs.parallel,
        seed=config.seed,
        batch_size=config.batch_size,
        start_step=0,
        stop_step=10**9 * count,
        steps_per_call=count,
        num_workers=config.data.num_workers,
    )
    return (batch for _, batch in feed)


def _compile(lowered: Any) -> tuple[Any, float]:
    """Compiles without reading or writing the compilation cache."""
    cached = jax.config.jax_enable_compilation_cache
    jax.config.update("jax_enable_compilation_cache", False)
    try:
        began = time.perf_counter()
        return lowered.compile(), time.perf_counter() - began
    finally:
        jax.config.update("jax_enable_compilation_cache", cached)


def _medians_ms(runs: list[Callable[[int], None]]) -> list[float]:
    """Milliseconds of one call of each, of which a round makes as many as fill its time.

    They take turns, so that other work on the machine hits them all.
    """
    calls = []
    for run in runs:
        run(1)
        began = time.perf_counter()
        run(1)
        once = time.perf_counter() - began
        calls.append(max(1, int(_ROUND_SECONDS / max(once, 1e-6))))
    times: list[list[float]] = [[] for _ in runs]
    for _ in range(_ROUNDS):
        for run, number, found in zip(runs, calls, times, strict=True):
            began = time.perf_counter()
            run(number)
            found.append(1e3 * (time.perf_counter() - began) / number)
    return [statistics.median(found) for found in times]
