"""Which parts of a layer XLA should leave to YNNPACK on CPU: all it offers, sums only, or nothing.

    python benchmarks/cpu_libraries.py --rounds=7
    taskset -c 0 python benchmarks/cpu_libraries.py

Batch norm alone, and a 3x3 convolution with batch norm and ReLU, forward and backward. The programs
take turns, round by round; medians of processor time, which other work on the machine disturbs less
than the clock.
"""

import statistics
import time

from absl import app, flags

OPTION = "xla_cpu_experimental_ynn_fusion_type"
WAYS = {"default": {}, "sums only": {OPTION: "LIBRARY_FUSION_TYPE_REDUCE"}, "nothing": {OPTION: ""}}
MAPS = [(32, 32, 64), (8, 8, 256)]

_ROUNDS = flags.DEFINE_integer("rounds", 5, "Timings of each program.", 1)
_BATCH = flags.DEFINE_integer("batch", 16, "Maps in a batch.", 1)


def measure(shape: tuple[int, ...], *, convolution: bool) -> dict[str, float]:
    """Milliseconds of processor time for each way."""
    import flax.linen as nn
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_compilation_cache", False)
    channels = shape[-1]
    x = jax.random.normal(jax.random.key(0), shape)
    kernel = (
        jax.random.normal(jax.random.key(1), (3, 3, channels, channels)) / (9 * channels) ** 0.5
    )
    norm = nn.BatchNorm(use_running_average=False)
    variables = norm.init(jax.random.key(2), x)

    def loss(x: jax.Array, kernel: jax.Array) -> jax.Array:
        if convolution:
            numbers = ("NHWC", "HWIO", "NHWC")
            x = jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=numbers)
        y, _ = norm.apply(variables, x, mutable=["batch_stats"])
        return jnp.square(nn.relu(y)).sum()

    gradient = jax.grad(loss, argnums=(0, 1))
    programs = {
        way: jax.jit(gradient, compiler_options=options).lower(x, kernel).compile()
        for way, options in WAYS.items()
    }
    times: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(_ROUNDS.value):
        for way, program in programs.items():
            began = time.process_time()
            for _ in range(2):
                jax.block_until_ready(program(x, kernel))
            times[way].append((time.process_time() - began) / 2 * 1e3)
    return {way: statistics.median(found) for way, found in times.items()}


def main(_: list[str]) -> None:
    """Prints a table."""
    print("| layer | at | " + " | ".join(f"{way}, ms" for way in WAYS) + " |")
    print("|---|---|" + "---:|" * len(WAYS))
    for convolution, layer in ((False, "batch norm"), (True, "convolution, batch norm, ReLU")):
        for shape in ((_BATCH.value, *sizes) for sizes in MAPS):
            found = measure(shape, convolution=convolution)
            row = " | ".join(f"{milliseconds:.1f}" for milliseconds in found.values())
            print(f"| {layer} | {'x'.join(map(str, shape))} | {row} |", flush=True)


if __name__ == "__main__":
    app.run(main)
