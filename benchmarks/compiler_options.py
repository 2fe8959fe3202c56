"""What options of XLA's compiler do to a training step: its compilation, and its speed.

    python benchmarks/compiler_options.py --networks=lenet,resnet18,googlenet

Each network's step is compiled once as it is, and once with each option; then the programs take
turns, round by round. Processor time of the compilation, and medians of the rounds' ratios.
"""

import json
import pathlib
import statistics
import sys
import time

from absl import app, flags

# Names that XLA does not know end with its error.
OPTIONS = {
    "as it is": {},
    "xla_llvm_disable_expensive_passes": {"xla_llvm_disable_expensive_passes": True},
    "xla_backend_optimization_level=1": {"xla_backend_optimization_level": 1},
    "xla_backend_optimization_level=0": {"xla_backend_optimization_level": 0},
    "xla_cpu_enable_fast_math": {"xla_cpu_enable_fast_math": True},
    "ynn: sums only": {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_REDUCE"},
    "ynn: nothing": {"xla_cpu_experimental_ynn_fusion_type": ""},
}
BATCHES = {"lenet": 64}

_NETWORKS = flags.DEFINE_list("networks", ["lenet", "resnet18", "googlenet"], "Which to compile.")
_OPTIONS = flags.DEFINE_string("options", json.dumps(OPTIONS), "Options of each way, in JSON.")
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 64, "Height and width in pixels.", 1)
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Timings of each program.", 1)
_MARKDOWN = flags.DEFINE_string("markdown", None, "Also write the table to this file.")


def measure(network: str, ways: dict[str, dict]) -> dict[str, dict[str, float]]:
    """Seconds of compilation and milliseconds of a step, for each way."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax

    import cnnlab

    jax.config.update("jax_enable_compilation_cache", False)
    size, batch_size = _IMAGE_SIZE.value, BATCHES.get(network, 8)
    model = cnnlab.create_model(network, num_classes=10)
    tx = optax.sgd(1e-3, momentum=0.9)
    state = cnnlab.train.create_state(model, tx, image_shape=(size, size, 3), seed=0)
    rng = np.random.default_rng(0)
    batch = {
        "image": jnp.asarray(rng.normal(size=(batch_size, size, size, 3)), jnp.float32),
        "label": jnp.asarray(rng.integers(10, size=batch_size)),
        "mask": jnp.ones(batch_size),
    }
    lowered = jax.jit(
        cnnlab.train.make_train_step(model, cnnlab.tasks.Classification(10), tx)
    ).lower(state, batch)
    found, compiled = {}, {}
    for way, options in ways.items():
        began, processor = time.perf_counter(), time.process_time()
        compiled[way] = lowered.compile(compiler_options=options)
        found[way] = {
            "wall": time.perf_counter() - began,
            "processor": time.process_time() - processor,
        }
        jax.block_until_ready(compiled[way](state, batch))
    times: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(_ROUNDS.value):
        for way, program in compiled.items():
            began = time.perf_counter()
            for _ in range(3):
                jax.block_until_ready(program(state, batch))
            times[way].append((time.perf_counter() - began) / 3 * 1e3)
    first = times[next(iter(ways))]
    for way, milliseconds in times.items():
        found[way]["step"] = statistics.median(milliseconds)
        found[way]["ratio"] = statistics.median(
            one / other for one, other in zip(milliseconds, first, strict=True)
        )
    return found


def main(_: list[str]) -> None:
    """Measures and prints the table."""
    lines = [
        "| network | option | compilation, s | its processor time, s | step, ms | ratio |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for network in _NETWORKS.value:
        for way, row in measure(network, json.loads(_OPTIONS.value)).items():
            lines.append(
                f"| {network} | {way} | {row['wall']:.1f} | {row['processor']:.1f} "
                f"| {row['step']:.1f} | {row['ratio']:.2f} |"
            )
            print(lines[-1], file=sys.stderr, flush=True)
    text = "\n".join(lines) + "\n"
    print(text)
    if _MARKDOWN.value:
        pathlib.Path(_MARKDOWN.value).write_text(text)


if __name__ == "__main__":
    app.run(main)
