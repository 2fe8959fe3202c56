"""Times how long it takes from the start of a process to the end of the first training step.

    python benchmarks/compile.py
    python benchmarks/compile.py --networks=unet --rounds=5 --json=result.json

Imports, weights, tracing, compilation and a step of forward, cross-entropy, backward and SGD, each
time in a new process. cnnlab is measured without and with what an earlier run has left in JAX's
compilation cache, as `launch.py` keeps it; PyTorch eager, and under `torch.compile` with an empty
and a filled cache. They take turns, round by round.
"""

import functools
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import _networks
import _sides
from absl import app, flags

_NETWORKS = flags.DEFINE_list("networks", ["lenet", "resnet18", "unet"], "Which networks to start.")
_ROUNDS = flags.DEFINE_integer("rounds", 3, "Starts of each side; the median is reported.", 1)
_JSON = flags.DEFINE_string("json", None, "Also write the results to this file.")
_QUICK = flags.DEFINE_bool("quick", False, "A smoke test: small batches, one start of each.")
_TORCH_PYTHON = flags.DEFINE_string(
    "torch_python", sys.executable, "The interpreter that has PyTorch, if it is not this one."
)
_SIDE = flags.DEFINE_string("side", None, "Used by the script itself.")

BUILD = {
    "cnnlab": _networks.cnnlab_train,
    "torch": functools.partial(_networks.torch_train, compiled=False),
    "torch.compile": functools.partial(_networks.torch_train, compiled=True),
}
# Those that keep what they have compiled: a start without it, then one with it.
CACHES = {"cnnlab": "JAX_COMPILATION_CACHE_DIR", "torch.compile": "TORCHINDUCTOR_CACHE_DIR"}


def work(side: str) -> None:
    """In a child process: one first step."""

    def answer(request: dict) -> dict:
        name, shape = request["name"], request["shape"]
        if shape is None:
            accelerator = _networks.has_accelerator()
            shape = _networks.batch_of(name, accelerator=accelerator, quick=request["quick"])
        BUILD[side](name, tuple(shape)).run(1)
        return {"shape": shape}

    _sides.serve(answer)


def start(side: str, name: str, shape: list[int] | None, cache: str) -> dict:
    """The `seconds` of a new process until its first step is done, and the `shape` of its batch."""
    began = time.perf_counter()
    python = sys.executable if side == "cnnlab" else _TORCH_PYTHON.value
    environment = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2"}  # as launch.py has it
    if side in CACHES:
        environment[CACHES[side]] = cache
    process = _sides.Side(__file__, side, python, environment)
    try:
        answer = process.ask(name=name, shape=shape, quick=_QUICK.value)
        return {**answer, "seconds": time.perf_counter() - began}
    finally:
        process.close()


def measure(name: str, sides: list[str]) -> dict:
    """Starts all sides in turns; the seconds of each, by round."""
    result: dict = {"name": name, "batch": None, "sides": {}}
    for _ in range(1 if _QUICK.value else _ROUNDS.value):
        for side in sides:
            with tempfile.TemporaryDirectory() as cache:
                for label in (side, f"{side}, cached") if side in CACHES else (side,):
                    found = start(side, name, result["batch"], cache)
                    result["batch"] = found["shape"]
                    result["sides"].setdefault(label, []).append(found["seconds"])
    return result


def print_rows(result: dict) -> None:
    """A line for each way to start: medians, and how they compare with ours without a cache."""
    ours = result["sides"]["cnnlab"]
    for label, found in result["sides"].items():
        ratio = _sides.spread(_sides.ratios(ours, found)) if label != "cnnlab" else ""
        print(
            f"{result['name']:<12}{result['batch'][0]:>6}  {label:<24}"
            f"{statistics.median(found):>9.1f}  {ratio}",
            flush=True,
        )


def main(argv: list[str]) -> None:
    del argv
    if _SIDE.value:
        work(_SIDE.value)
        return
    unknown = sorted(set(_NETWORKS.value) - set(_networks.CASES))
    if unknown:
        raise app.UsageError(f"--networks: {unknown} not among {sorted(_networks.CASES)}.")
    sides = list(BUILD) if "torch" in _sides.interpreters(_TORCH_PYTHON.value) else ["cnnlab"]
    print(
        f"{'network':<12}{'batch':>6}  {'side':<24}{'seconds':>9}  "
        "cnnlab's, without cache, over this (min-max)"
    )
    results = []
    for name in _NETWORKS.value:
        results.append(measure(name, sides))
        print_rows(results[-1])
    if _JSON.value:
        Path(_JSON.value).write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    app.run(main)
