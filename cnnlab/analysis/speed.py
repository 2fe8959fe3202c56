"""Time of a training run by part: input, step, host; compilation, memory, utilisation."""

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
from cnnlab.train.engines.compiled_steps import CompiledSteps
from cnnlab.train.run_data import crop_of, load_data
from cnnlab.train.runtime.input import training_input

# Rounds of each timing, of which the median counts, and how long one of them should take.
_ROUNDS, _ROUND_SECONDS = 5, 0.5


@dataclasses.dataclass(frozen=True)
class Speed:
    """Measurements of a training run; times are medians per update.

    Attributes:
      device: kind and number of the devices.
      batch_size: images per update.
      steps_per_call: updates per call of the compiled program.
      loop_ms: milliseconds per update of a run, including input.
      step_ms: milliseconds of the compiled program alone, on a batch on the device.
      input_ms: milliseconds to put a batch on the device, when nothing else runs.
      trace_seconds: seconds to trace the program.
      compile_seconds: seconds to compile it without the compilation cache.
      peak_memory: bytes that the program needs on a device: its arguments (state and batch),
        results and temporaries, as its compiler planned them.
      flops: floating-point operations per update, from `step_flops`.
      matmul_flops: floating-point operations per second of a large matrix product in the network's
        dtype on all devices, measured at the same time.
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
        """Images per second of the whole loop."""
        return self.batch_size / self.loop_ms * 1e3

    @property
    def waiting(self) -> float:
        """Share of the loop's time in which the device waits for input or host, in [0, 1]."""
        return max(0.0, 1 - self.step_ms / self.loop_ms)

    @property
    def utilisation(self) -> float:
        """The step's operations per second divided by the matrix product's (MFU)."""
        return self.flops / (self.step_ms / 1e3) / self.matmul_flops


@dataclasses.dataclass(frozen=True)
class CompiledStep:
    """The training program of a run, compiled from shapes without running it.

    Attributes:
      call: `call(carry, batch, hparams) -> carry`.
      trace_seconds: seconds to trace the program.
      compile_seconds: seconds to compile it without the compilation cache.
      state_memory: bytes of the arguments (state and batch) and results on a device; donated
        arguments count once.
      temporary_memory: bytes of temporaries as planned by the compiler, mostly activations that
        are stored for the gradients.
    """

    call: Callable[..., Any]
    trace_seconds: float
    compile_seconds: float
    state_memory: int
    temporary_memory: int


def compile_step(compiled: CompiledSteps) -> CompiledStep:
    """Compiles the training program of a run."""
    experiment, parallel = compiled.experiment(compiled.config), compiled.parallel
    count = compiled.steps_per_call
    carry = parallel.abstract(
        {"state": experiment.abstract_state(), "metrics": compiled.zero_metrics}
    )
    # Arrays, not shapes: those would not keep that hyper-parameters are weakly typed.
    hparams = compiled.place(experiment.hparams)
    batch = experiment.abstract_batch()
    if count > 1:
        batch = {
            name: jax.ShapeDtypeStruct((count, *x.shape), x.dtype) for name, x in batch.items()
        }
    began = time.perf_counter()
    lowered = compiled.train(count).lower(carry, batch, hparams)
    trace_seconds = time.perf_counter() - began
    executable, compile_seconds = _compile(lowered)
    memory = executable.memory_analysis()
    return CompiledStep(
        call=executable,
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
    """Trains for a few seconds without evaluation, checkpoints and files.

    Args:
      config: any experiment.
      dataset: data set of the experiment; None loads it.
      profile: folder for a trace of some updates, for TensorBoard's profiler and Perfetto
        (ui.perfetto.dev opens the .json.gz file); None writes none.

    Raises:
      UserError: a mistake in the config, or `parallel=pmap`.
    """
    if config.parallel != "jit":
        raise UserError(f"parallel={config.parallel}: the benchmark measures only parallel=jit.")
    compiled = CompiledSteps(config, dataset or load_data(config))
    count = compiled.steps_per_call
    step = compile_step(compiled)
    batches = _batches(compiled)
    train = _trainer(compiled, step)

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
    devices = compiled.parallel.mesh.devices.flatten()
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
        flops=step_flops(compiled),
        matmul_flops=len(devices) * matmul_rate(jnp.dtype(config.model.dtype)),
    )


def step_flops(compiled: CompiledSteps) -> float:
    """Floating-point operations of an update by the usual convention.

    Two per multiply-accumulate of convolutions and dense layers, times three (forward, and backward
    for activations and weights). Other operations are not counted.
    """
    experiment = compiled.experiment(compiled.config)
    macs = total_macs(summarize(experiment.model, experiment.info.image_shape))
    return 6.0 * macs * compiled.config.batch_size


def step_milliseconds(compiled: CompiledSteps, step: CompiledStep) -> float:
    """Median milliseconds per update of the compiled program alone, on a batch on the device."""
    train, same = _trainer(compiled, step), itertools.repeat(next(_batches(compiled)))
    return _medians_ms([lambda calls: train(calls, same)])[0] / compiled.steps_per_call


def matmul_rate(dtype: jnp.dtype, size: int | None = None) -> float:
    """Measures floating-point operations per second of a square matrix product on one device.

    Args:
      dtype: dtype of the factors.
      size: number of rows and columns; None uses 1,024 on CPU and 8,192 elsewhere.
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


def _trainer(compiled: CompiledSteps, step: CompiledStep) -> Callable[[int, Iterator[Any]], None]:
    """Returns `train(calls, batches)`, which waits until all calls are done."""
    experiment = compiled.experiment(compiled.config)
    hparams = compiled.place(experiment.hparams)
    carry = compiled.parallel.replicate(compiled.new_carry(experiment))

    def train(calls: int, batches: Iterator[Any]) -> None:
        nonlocal carry
        for _ in range(calls):
            carry = step.call(carry, next(batches), hparams)
        jax.block_until_ready(carry)

    return train


def _batches(compiled: CompiledSteps) -> Iterator[dict[str, jax.Array]]:
    """Infinite iterator of whole batches of the training split."""
    config, count = compiled.config, compiled.steps_per_call
    feed = training_input(
        compiled.dataset.splits["train"],
        compiled.parallel,
        seed=config.seed,
        batch_size=config.batch_size,
        start_step=0,
        stop_step=10**9 * count,
        steps_per_call=count,
        num_workers=config.data.num_workers,
        crop=crop_of(config, compiled.dataset.info),
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
    """Milliseconds per call of each function, with as many calls per round as fill its time.

    They take turns, so that other work on the machine affects all alike.
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
