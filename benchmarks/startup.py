"""Times how a training run starts: to the end of its first update, from a process's first line on.

    python benchmarks/startup.py --rounds=3

Two tables. One is over ways to compile, for each network:

- plain: nothing is kept; this is the first run of a recipe on a machine;
- cached: with the compilation cache of the command line, filled by a run before;
- ahead: the step is compiled in a thread as soon as the data are there, while weights are drawn and
  the first batch is read. Runs do not do so; this is what it would bring.

The other is over the size of a folder of PNG images, which a run decodes into memory, or streams
from the disk as it does with sets beyond 1 GiB.

Every start has a process of its own; they take turns, round by round; medians.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from absl import app, flags

BEGAN = time.perf_counter()
_OPTIONS = {"resnet18": {"stem": "cifar"}, "densenet121": {"stem": "cifar"}}
WAYS = ("plain", "cached", "ahead")

_NETWORKS = flags.DEFINE_list("networks", ["lenet", "resnet18"], "On 28x28 digits, batches of 32.")
_SIZES = flags.DEFINE_list("sizes", ["1000", "4000", "16000"], "Images in a folder, of 32x32.")
_ROUNDS = flags.DEFINE_integer("rounds", 3, "Starts of each; the median is reported.", 1)
_MARKDOWN = flags.DEFINE_string("markdown", None, "Also write the tables to this file.")
_WORKER = flags.DEFINE_string("worker", None, "Used by the script itself.")


def start(network: str, data: str, ahead: bool, streamed: bool) -> dict[str, float]:
    """Makes the first update in this process; returns the seconds of its parts."""
    import jax

    from cnnlab.analysis.speed import compile_step
    from cnnlab.cli.jax_setup import enable_compilation_cache
    from cnnlab.config import Config, DataConfig, ModelConfig, OptimizerConfig
    from cnnlab.train.engines.compiled_steps import CompiledSteps
    from cnnlab.train.run_data import load_data
    from cnnlab.train.runtime.input import training_input

    if streamed:
        import cnnlab.data.loading

        cnnlab.data.loading.MAX_BYTES = 0
    enable_compilation_cache()
    clock = [BEGAN, time.perf_counter()]
    config = Config(
        batch_size=32,
        num_devices=1,
        steps_per_call=1,
        data=DataConfig(name=data),
        model=ModelConfig(name=network, options=_OPTIONS.get(network, {})),
        optimizer=OptimizerConfig(learning_rate=0.01, options={"momentum": 0.9}),
    )
    compiled = CompiledSteps(config, load_data(config))
    experiment, parallel = compiled.experiment(config), compiled.parallel
    clock.append(time.perf_counter())
    calls = []
    thread = threading.Thread(target=lambda: calls.append(compile_step(compiled).call))
    if ahead:
        thread.start()
    hparams = compiled.place(experiment.hparams)
    carry = parallel.replicate(compiled.new_carry(experiment))
    jax.block_until_ready(carry)
    clock.append(time.perf_counter())
    feed = training_input(
        compiled.dataset.splits["train"],
        parallel,
        seed=0,
        batch_size=32,
        start_step=0,
        stop_step=8,
        steps_per_call=1,
        num_workers=0,
    )
    _, batch = next(iter(feed))
    if ahead:
        thread.join()
    train = calls[0] if ahead else compiled.train(1)
    jax.block_until_ready(train(carry, batch, hparams))
    clock.append(time.perf_counter())
    names = ("imports", "data", "weights", "update")
    parts = {name: clock[i + 1] - clock[i] for i, name in enumerate(names)}
    return parts | {"all": clock[-1] - clock[0]}


def measure(
    cache: str, *, network: str, data: str, way: str, streamed: bool = False
) -> dict[str, float]:
    """One start, in a process of its own."""
    asked = json.dumps(
        {"network": network, "data": data, "ahead": way == "ahead", "streamed": streamed}
    )
    environment = os.environ | {
        "CNNLAB_CACHE": cache,
        "JAX_ENABLE_COMPILATION_CACHE": str(way == "cached").lower(),
    }
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    command = [sys.executable, __file__, f"--worker={asked}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    found = json.loads(done.stdout.splitlines()[-1])
    print(network, data, way, found, file=sys.stderr, flush=True)
    return found


def over_ways(scratch: str) -> str:
    """The table over ways to compile."""
    lines = [
        "| network | way | imports, s | data, s | weights, s | update, s | all, s |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for network in _NETWORKS.value:
        measure(scratch, network=network, data="digits", way="cached")  # fills the cache
        found: dict[str, list] = {way: [] for way in WAYS}
        for _ in range(_ROUNDS.value):
            for way in WAYS:
                found[way].append(measure(scratch, network=network, data="digits", way=way))
        lines += [f"| {network} | {way} | {cells(found[way])} |" for way in WAYS]
    return "\n".join(lines)


def over_sizes(scratch: str) -> str:
    """The table over the size of a folder, with the compilation cache filled."""
    lines = [
        "| images | held | imports, s | data, s | weights, s | update, s | all, s |",
        "|---:|---|---:|---:|---:|---:|---:|",
    ]
    found: dict[tuple[int, bool], list] = {}
    for size in map(int, _SIZES.value):
        write_images(pathlib.Path(scratch, f"images{size}"), size)
        found |= {(size, False): [], (size, True): []}
    for turn in range(1 + _ROUNDS.value):
        for (size, streamed), rows in found.items():
            data = f"folder:{scratch}/images{size}"
            row = measure(scratch, network="lenet", data=data, way="cached", streamed=streamed)
            rows += [row] if turn else []  # the first fills the cache
    for (size, streamed), rows in found.items():
        held = "on disk" if streamed else "in memory"
        lines.append(f"| {size:,} | {held} | {cells(rows)} |")
    return "\n".join(lines)


def write_images(folder: pathlib.Path, count: int) -> None:
    """PNG files of random pixels, in ten classes."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for number in range(count):
        path = folder / f"train/{number % 10}/{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(path)


def cells(rows: list[dict[str, float]]) -> str:
    """Medians of the parts, and of the whole with its range."""
    parts = [f"{statistics.median(row[name] for row in rows):.2f}" for name in list(rows[0])[:-1]]
    whole = sorted(row["all"] for row in rows)
    return " | ".join([*parts, f"{statistics.median(whole):.2f} ({whole[0]:.2f}–{whole[-1]:.2f})"])


def main(_: list[str]) -> None:
    """Measures, or is one of the starts."""
    if _WORKER.value:
        print(json.dumps(start(**json.loads(_WORKER.value))))
        return
    with tempfile.TemporaryDirectory() as scratch:
        tables = [over_ways(scratch), over_sizes(scratch)]
    text = "\n\n".join(tables) + "\n"
    print(text)
    if _MARKDOWN.value:
        pathlib.Path(_MARKDOWN.value).write_text(text)


if __name__ == "__main__":
    app.run(main)
