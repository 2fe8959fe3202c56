"""How the cost of a training step grows: with the batch, with devices, with hosts, with depth.

    python benchmarks/growth.py --rounds=3
    python benchmarks/growth.py --tables=memory --dtype=bfloat16

- batch: images/s over the batch size;
- devices: images/s of one batch over the devices that share it out: the machine's, or else virtual
  ones on CPU, which share its cores, so that the best result is that nothing is lost;
- hosts: the same over processes that meet through `cnnlab.train.runtime.hosts`, with one CPU device
  each;
- memory: what lies between the arguments and results of a step, over the batch size and over
  depth, with and without rematerialisation: as the compiler planned it for this platform, and what
  autodiff asks it to keep from the forward to the backward pass. Nothing is run for it.

Images lie in memory. Every measurement of the first three has a process of its own; they take
turns, round by round; medians. How a start grows with the data is told by `startup.py`.
"""

import json
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

from absl import app, flags

# Sizes of images, options, and batches to measure.
NETWORKS = {
    "lenet": (28, {}, (16, 64, 256, 1024)),
    "resnet18": (32, {"stem": "cifar", "width": 16}, (8, 32, 128)),
}
TABLES = ("batch", "devices", "hosts", "memory")

_TABLES = flags.DEFINE_list("tables", list(TABLES), "Which to make.")
_NETWORKS = flags.DEFINE_list("networks", list(NETWORKS), "For the first three tables.")
_ROUNDS = flags.DEFINE_integer("rounds", 3, "Measurements of each; the median is reported.", 1)
_DTYPE = flags.DEFINE_enum("dtype", "float32", ["float32", "bfloat16"], "Type of computation.")
_MEMORY_OF = flags.DEFINE_string("memory_of", "resnet50", "Network of memory over batch size.")
_BATCHES = flags.DEFINE_list("batches", ["8", "16", "32", "64"], "Of memory over batch size.")
_DEPTHS = flags.DEFINE_list("depths", ["20", "44", "110"], "Networks resnetN of memory over depth.")
_MARKDOWN = flags.DEFINE_string("markdown", None, "Also write the tables to this file.")
_WORKER = flags.DEFINE_string("worker", None, "Used by the script itself.")

_SECONDS = 1.0  # of one timing


def make_programs(
    network: str,
    batch_size: int,
    *,
    size: int,
    options: dict[str, Any],
    dtype: str = "float32",
    devices: int | None = None,
    remat: bool = False,
) -> Any:
    """Programs of a run on random images."""
    import numpy as np

    from cnnlab.config import Config, ModelConfig, OptimizerConfig
    from cnnlab.data import ArraySource, Dataset, DatasetInfo
    from cnnlab.train.engines.compiled_steps import CompiledSteps

    channels = 1 if network == "lenet" else 3
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (batch_size, size, size, channels), np.uint8)
    source = ArraySource(images, rng.integers(0, 10, batch_size))
    info = DatasetInfo("random", tuple("0123456789"), images.shape[1:], {"train": batch_size},
                       (0.5,) * channels, (0.25,) * channels)  # fmt: skip
    config = Config(
        batch_size=batch_size,
        num_devices=devices,
        steps_per_call=1,
        model=ModelConfig(network, dtype=dtype, options=options, remat=remat),
        optimizer=OptimizerConfig(learning_rate=1e-3, options={"momentum": 0.9}),
    )
    return CompiledSteps(config, Dataset(info, {"train": source, "test": source}))


def images_per_second(coordinator: str | None, hosts: int, host: int, **asked: Any) -> float:
    """Trains about a second on one batch, in this process."""
    import jax

    from cnnlab.data import train_batches
    from cnnlab.train.runtime.hosts import join

    if coordinator:
        join(coordinator, hosts, host)
    compiled = make_programs(**asked)
    parallel, batch_size = compiled.parallel, compiled.config.batch_size
    experiment = compiled.experiment(compiled.config)
    hparams = compiled.place(experiment.hparams)
    carry = parallel.replicate(compiled.new_carry(experiment))
    batches = train_batches(
        compiled.dataset.splits["train"],
        seed=0,
        batch_size=batch_size,
        start_step=0,
        stop_step=1,
        process_index=host,
        process_count=hosts,
    )
    batch = parallel.shard(next(iter(batches)))
    train = compiled.train(1)
    # On CPU, collectives of several steps at a time could wait for each other's threads for ever.
    one_by_one = jax.default_backend() == "cpu"

    def seconds(calls: int) -> float:
        nonlocal carry
        began = time.perf_counter()
        for _ in range(calls):
            carry = train(carry, batch, hparams)
            if one_by_one:
                jax.block_until_ready(carry)
        jax.block_until_ready(carry)
        return time.perf_counter() - began

    seconds(2)
    # The number of calls must be the same on all hosts.
    once = seconds(2) / 2
    calls = max(2, int(_SECONDS / once)) if not coordinator else 20
    return batch_size * calls / seconds(calls)


def memory(remat: bool, **asked: Any) -> dict[str, float]:
    """MiB between arguments and results as planned, MiB to keep, and seconds of compilation."""
    import jax
    import jax.numpy as jnp

    from cnnlab.analysis.speed import compile_step
    from cnnlab.train.remat import rematerialised

    compiled = make_programs(remat=remat, **asked)
    step = compile_step(compiled)
    experiment = compiled.experiment(compiled.config)
    variables = experiment.abstract_state().variables
    batch = experiment.abstract_batch()["image"]
    apply = rematerialised(experiment.model.apply) if remat else experiment.model.apply

    def backward(variables: Any, images: jax.Array) -> Any:
        def forward(params: Any) -> Any:
            rest = {name: value for name, value in variables.items() if name != "params"}
            return apply({"params": params, **rest}, images, train=True, mutable=list(rest))[0]

        return jax.vjp(forward, variables["params"])[1]

    kept = jax.eval_shape(backward, variables, jax.ShapeDtypeStruct(batch.shape, jnp.float32))
    params = jax.tree.leaves(variables["params"])
    bytes_kept = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(kept)) - sum(
        leaf.size * leaf.dtype.itemsize for leaf in params
    )
    return {
        "planned": step.temporary_memory / 2**20,
        "kept": bytes_kept / 2**20,
        "compilation": step.trace_seconds + step.compile_seconds,
    }


def run(cache: str, what: str, *, hosts: int = 1, devices: int | None = None, **asked: Any) -> Any:
    """One measurement, in a process of its own for each host."""
    asked |= {"dtype": _DTYPE.value, "devices": None if hosts > 1 else devices}
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": cache}
    if what == "speed":
        asked["coordinator"] = f"localhost:{free_port()}" if hosts > 1 else None
        virtual = f" --xla_force_host_platform_device_count={devices or 1}"
        environment["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + virtual
    if hosts > 1:
        environment["JAX_PLATFORMS"] = "cpu"
    processes = []
    for host in range(hosts):
        place = {"hosts": hosts, "host": host} if what == "speed" else {}
        command = [sys.executable, __file__, f"--worker={json.dumps([what, asked | place])}"]
        processes.append(
            subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        )
    outputs = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        sys.exit("A measurement failed; see above.")
    found = json.loads(outputs[0].splitlines()[-1])
    print(what, hosts, asked, found, file=sys.stderr, flush=True)
    return found


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


def in_turn(cache: str, cases: dict[Any, dict[str, Any]]) -> dict[Any, list[float]]:
    """Images/s of each case, measured round by round."""
    found: dict[Any, list[float]] = {name: [] for name in cases}
    for _ in range(_ROUNDS.value):
        for name, case in cases.items():
            found[name].append(run(cache, "speed", **case))
    return found


def speed_table(name: str, found: dict[tuple[str, int], list[float]]) -> str:
    """Images/s, and the ratio to the first case of the network, round by round."""
    lines = [f"| network | {name} | images/s | ratio (min–max) |", "|---|---:|---:|---:|"]
    base: list[float] = []
    for (network, number), speeds in found.items():
        if not any(line.startswith(f"| {network} ") for line in lines):
            base = speeds
        ratios = sorted(one / other for one, other in zip(speeds, base, strict=True))
        lines.append(
            f"| {network} | {number:,} | {statistics.median(speeds):,.0f} "
            f"| {statistics.median(ratios):.2f} ({ratios[0]:.2f}–{ratios[-1]:.2f}) |"
        )
    return "\n".join(lines)


def over_batches(cache: str) -> str:
    """Images/s over the batch size."""
    cases = {
        (name, batch): dict(network=name, batch_size=batch, size=size, options=options)
        for name, (size, options, batches) in chosen().items()
        for batch in batches
    }
    return speed_table("batch", in_turn(cache, cases))


def over_devices(cache: str, kind: str) -> str:
    """Images/s of the largest batch but one, over devices or hosts."""
    cases = {}
    for name, (size, options, batches) in chosen().items():
        for number in (1, 2, 4) if kind == "hosts" else (1, 2, 4, 8):
            cases[name, number] = dict(
                network=name, batch_size=batches[-2], size=size, options=options, **{kind: number}
            )
    return speed_table(kind, in_turn(cache, cases))


def over_memory(cache: str) -> str:
    """Memory over batch size, and over depth."""
    name = _MEMORY_OF.value
    cases = [(name, int(batch)) for batch in _BATCHES.value]
    cases += [(f"resnet{depth}", 32) for depth in _DEPTHS.value]
    lines = [
        "| network | batch | planned, MiB | with remat | kept, MiB | with remat "
        "| compilation, s | with remat |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for network, batch in cases:
        options = {"stem": "cifar"} if network == name else {}
        case = dict(network=network, batch_size=batch, size=32, options=options, devices=1)
        plain, less = (run(cache, "memory", remat=remat, **case) for remat in (False, True))
        lines.append(
            f"| {network} | {batch} | {plain['planned']:,.0f} | {less['planned']:,.0f} "
            f"| {plain['kept']:,.0f} | {less['kept']:,.0f} "
            f"| {plain['compilation']:.1f} | {less['compilation']:.1f} |"
        )
    return "\n".join(lines)


def chosen() -> dict[str, tuple[int, dict[str, Any], tuple[int, ...]]]:
    """The networks to time."""
    return {name: NETWORKS[name] for name in _NETWORKS.value}


def main(_: list[str]) -> None:
    """Measures, or is one of the processes."""
    if _WORKER.value:
        what, asked = json.loads(_WORKER.value)
        print(json.dumps(memory(**asked) if what == "memory" else images_per_second(**asked)))
        return
    with tempfile.TemporaryDirectory() as cache:
        make = {
            "batch": lambda: over_batches(cache),
            "devices": lambda: over_devices(cache, "devices"),
            "hosts": lambda: over_devices(cache, "hosts"),
            "memory": lambda: over_memory(cache),
        }
        tables = [f"{name}:\n\n{make[name]()}" for name in _TABLES.value]
    text = "\n\n".join(tables) + "\n"
    print(text)
    if _MARKDOWN.value:
        pathlib.Path(_MARKDOWN.value).write_text(text)


if __name__ == "__main__":
    app.run(main)
