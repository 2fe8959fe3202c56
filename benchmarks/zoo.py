"""Times the training step of many networks: compilation, steady state, memory, utilisation.

    python benchmarks/zoo.py --markdown=docs/zoo_speed.md
    python benchmarks/zoo.py --networks='resnet*' --image_size=224 --batch_size=256 --dtype=bfloat16
    python benchmarks/zoo.py --compile_only     # nothing is run: compilation and memory alone

Random images that lie in memory, SGD with momentum, one device. A network whose smallest image is
larger than --image_size gets that size. Each network is measured in a process of its own, so that
memory and compilations do not meet.
"""

import fnmatch
import json
import pathlib
import subprocess
import sys
import time

from absl import app, flags

_NETWORKS = flags.DEFINE_list("networks", ["*"], "Names or patterns of `launch.py list models`.")
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 64, "Height and width in pixels.", 1)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 8, "Images of an update.", 1)
_DTYPE = flags.DEFINE_enum("dtype", "float32", ["float32", "bfloat16"], "Type of computation.")
_COMPILE_ONLY = flags.DEFINE_bool("compile_only", False, "Compile the steps, and run none.")
_MARKDOWN = flags.DEFINE_string("markdown", None, "Also write the table to this file.")
_JSON = flags.DEFINE_string("json", None, "Also write the results to this file.")
_WORKER = flags.DEFINE_string("worker", None, "Used by the script itself.")


def measure(name: str) -> dict:
    """Measures one network in this process."""
    import numpy as np

    from cnnlab.analysis.speed import compile_step, matmul_rate, step_flops, step_milliseconds
    from cnnlab.config import Config, ModelConfig, OptimizerConfig
    from cnnlab.data import ArraySource, Dataset, DatasetInfo
    from cnnlab.models import create_model, model_task
    from cnnlab.train.engines.compiled_steps import CompiledSteps

    task = model_task(name)
    network = create_model(name, num_classes=10)
    if getattr(network, "spatial_dims", 2) != 2:
        return {"model": name, "skipped": "takes volumes, which no data set here has"}
    size = max(_IMAGE_SIZE.value, network.min_size)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (4 * _BATCH_SIZE.value, size, size, 3), np.uint8)
    labels = rng.integers(0, 10, len(images))
    if task == "segmentation":
        labels = rng.integers(0, 10, images.shape[:3]).astype(np.uint8)
    if name.endswith("_valid"):
        return {"model": name, "skipped": "gives a smaller map than its labels"}
    info = DatasetInfo(
        "random", tuple("0123456789"), (size, size, 3), {"train": len(images)},
        (0.5,) * 3, (0.25,) * 3,
    )  # fmt: skip
    config = Config(
        task=task,
        batch_size=_BATCH_SIZE.value,
        num_devices=1,
        model=ModelConfig(name, dtype=_DTYPE.value),
        optimizer=OptimizerConfig(learning_rate=1e-3, options={"momentum": 0.9}),
    )
    compiled = CompiledSteps(config, Dataset(info, {"train": ArraySource(images, labels)}))
    began = time.process_time()
    step = compile_step(compiled)
    row = {
        "model": name,
        "image_size": size,
        "device": compiled.parallel.mesh.devices.item().device_kind,
        "cpu_seconds": time.process_time() - began,
        "trace_seconds": step.trace_seconds,
        "compile_seconds": step.compile_seconds,
        "peak_memory": step.state_memory + step.temporary_memory,
    }
    if _COMPILE_ONLY.value:
        return row
    step_ms = step_milliseconds(compiled, step)
    rate = step_flops(compiled) / (step_ms / 1e3)
    return {
        **row,
        "step_ms": step_ms,
        "images_per_second": _BATCH_SIZE.value / step_ms * 1e3,
        "utilisation": rate / matmul_rate(np.dtype(_DTYPE.value)),
    }


# Heads of the columns, and what is in them.
COLUMNS = {
    "network": lambda r: r["model"],
    "pixels": lambda r: str(r["image_size"]),
    "tracing, s": lambda r: f"{r['trace_seconds']:.1f}",
    "compilation, s": lambda r: f"{r['compile_seconds']:.1f}",
}
COMPILED = COLUMNS | {
    "processor time of both, s": lambda r: f"{r['cpu_seconds']:.1f}",
    "memory, MiB": lambda r: f"{r['peak_memory'] / 2**20:,.0f}",
}
TIMED = COLUMNS | {
    "step, ms": lambda r: f"{r['step_ms']:.1f}",
    "images/s": lambda r: f"{r['images_per_second']:,.0f}",
    "memory, MiB": lambda r: f"{r['peak_memory'] / 2**20:,.0f}",
    "share of a matrix product's rate": lambda r: f"{100 * r['utilisation']:.0f} %",
}


def table(results: list[dict]) -> str:
    """The results as Markdown."""
    columns = COMPILED if _COMPILE_ONLY.value else TIMED
    lines = ["| " + " | ".join(columns) + " |", "|---|" + "---:|" * (len(columns) - 1)]
    for r in results:
        cells = [show(r) for show in columns.values()] if "skipped" not in r else [
            r["model"], *[""] * (len(columns) - 2), r["skipped"]
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main(_: list[str]) -> None:
    if _WORKER.value:
        print(json.dumps(measure(_WORKER.value)))
        return
    from cnnlab.models import list_models

    names = [
        name
        for name in list_models()
        if any(fnmatch.fnmatch(name, pattern) for pattern in _NETWORKS.value)
    ]
    if not names:
        sys.exit(f"error: no network is called {', '.join(_NETWORKS.value)}.")
    results = []
    for name in names:
        command = [sys.executable, __file__, f"--worker={name}"]
        for flag in ("image_size", "batch_size", "dtype", "compile_only"):
            command.append(f"--{flag}={flags.FLAGS[flag].value}")
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            why = (done.stderr.strip().splitlines() or ["failed"])[-1]
            if done.returncode < 0:
                why = f"ended by signal {-done.returncode}"
            results.append({"model": name, "skipped": why.replace("|", "/")[:120]})
        else:
            results.append(json.loads(done.stdout.splitlines()[-1]))
        print(table(results).splitlines()[-1], flush=True)
        write(results)


def write(results: list[dict]) -> None:
    """Writes what is known so far: a whole zoo takes an hour and more."""
    if _JSON.value:
        pathlib.Path(_JSON.value).write_text(json.dumps(results, indent=1))
    if _MARKDOWN.value:
        device = next((r["device"] for r in results if "device" in r), "no device")
        pathlib.Path(_MARKDOWN.value).write_text(
            f"{device}, batches of {_BATCH_SIZE.value}, {_DTYPE.value}.\n\n{table(results)}"
        )


if __name__ == "__main__":
    app.run(main)
