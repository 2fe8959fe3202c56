"""Times the same work of cnnlab and of PyTorch over a few networks, in turns; prints a table."""

import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import _networks
import _sides
from absl import app, flags

from cnnlab.cli.start import LARGE_PAGES, TUNABLES

# How long a round of each side takes, about.
ROUND_SECONDS = 1.0

_NETWORKS = flags.DEFINE_list("networks", None, "Which networks to time.")
_ROUNDS = flags.DEFINE_integer("rounds", 7, "Rounds of each side; the median is reported.", 1)
_JSON = flags.DEFINE_string("json", None, "Also write the results to this file.")
_QUICK = flags.DEFINE_bool("quick", False, "A smoke test: small batches, two short rounds.")
_CORES = flags.DEFINE_integer(
    "cores", None, "CPU cores of each side. One is what other work on the machine disturbs least."
)
_TORCH_PYTHON = flags.DEFINE_string(
    "torch_python", sys.executable, "The interpreter that has PyTorch, if it is not this one."
)
_BEFORE = flags.DEFINE_string(
    "before", None, "Another checkout of cnnlab, e.g. of an older version, timed as one more side."
)
_LARGE_PAGES = flags.DEFINE_list(
    "large_pages", ["cnnlab", "before"], "Sides with large pages of memory, as launch.py has them."
)
_SIDE = flags.DEFINE_string("side", None, "Used by the script itself.")

Build = Callable[[str, tuple[int, ...]], _networks.Work]


def compare(script: str, sides: Mapping[str, Build], networks: Sequence[str]) -> None:
    """The whole of a script.

    Args:
      script: its `__file__`.
      sides: `cnnlab` first, then PyTorch's; each builds what is to be timed.
      networks: which to time if the user does not say.
    """
    app.run(lambda argv: _main(script, sides, networks))


def _main(script: str, sides: Mapping[str, Build], networks: Sequence[str]) -> None:
    if _SIDE.value:
        _work(sides[_SIDE.value])
        return
    chosen = _NETWORKS.value or networks
    unknown = sorted(set(chosen) - set(_networks.CASES))
    if unknown:
        raise app.UsageError(f"--networks: {unknown} not among {sorted(_networks.CASES)}.")
    pythons = _sides.interpreters(_TORCH_PYTHON.value)
    peers = [name for name in sides if name != "cnnlab"] if "torch" in pythons else []
    if _BEFORE.value:
        peers.append("before")
    results = []
    for name in chosen:
        results.append(_measure(script, name, peers))
        _print_rows(results[-1], first=len(results) == 1)
    if _JSON.value:
        Path(_JSON.value).write_text(json.dumps(results, indent=2))


def _work(build: Build) -> None:
    """In a child process: builds what the first request names, and then does what it is asked."""
    work: _networks.Work | None = None

    def answer(request: dict) -> dict:
        nonlocal work
        start = time.perf_counter()
        said: dict[str, Any] = {}
        if work is None:
            _sides.limit_cores(request["cores"])
            name, shape = request["name"], request["shape"]
            if shape is None:
                accelerator = _networks.has_accelerator()
                shape = _networks.batch_of(name, accelerator=accelerator, quick=request["quick"])
            work = build(name, tuple(shape))
            said |= {"shape": shape, "images": work.images}
        work.run(request["steps"])
        seconds = time.perf_counter() - start
        return said | {"seconds": seconds, "peak_mib": _sides.peak_memory_mib()}

    _sides.serve(answer)


def _measure(script: str, name: str, peers: list[str]) -> dict:
    """Times all sides on one network, in turns.

    Returns:
      For each side `images_per_second` (one value a round), `first_step_seconds` (imports,
      weights, compilation, one step), `peak_mib` or None; and `ratios` of each peer, our speed
      over theirs.
    """
    result: dict[str, Any] = {"name": name, "batch": None, "sides": {}, "ratios": {}}
    running, steps, images = {}, {}, {}
    try:
        for side in ("cnnlab", *peers):
            process = running[side] = _start(script, side)
            request = {"name": name, "shape": result["batch"], "quick": _QUICK.value,
                       "cores": _CORES.value}  # fmt: skip
            try:
                first = process.ask(**request, steps=1)
            except RuntimeError as error:
                print(f"{name}: {side} is left out. {error}")
                running.pop(side).close()
                continue
            result["batch"], images[side] = first["shape"], first["images"]
            process.ask(steps=2)  # warm-up: allocators and thread pools settle
            once = process.ask(steps=1)["seconds"]
            steps[side] = 2 if _QUICK.value else max(2, round(ROUND_SECONDS / once))
            result["sides"][side] = {
                "first_step_seconds": first["seconds"], "images_per_second": [],
            }  # fmt: skip
        for _ in range(2 if _QUICK.value else _ROUNDS.value):
            for side, process in running.items():
                answer = process.ask(steps=steps[side])
                speed = images[side] * steps[side] / answer["seconds"]
                result["sides"][side]["images_per_second"].append(speed)
                result["sides"][side]["peak_mib"] = answer["peak_mib"]
    finally:
        for process in running.values():
            process.close()
    speeds = {side: found["images_per_second"] for side, found in result["sides"].items()}
    for side in list(speeds)[1:]:
        result["ratios"][side] = _sides.ratios(speeds["cnnlab"], speeds[side])
    return result


def _start(script: str, side: str) -> _sides.Side:
    wanted = side in _LARGE_PAGES.value
    environment = {TUNABLES: LARGE_PAGES if wanted else ""}
    if side == "before":
        older = Path(_BEFORE.value) / "benchmarks" / Path(script).name
        return _sides.Side(str(older), "cnnlab", environment=environment)
    python = sys.executable if side == "cnnlab" else _TORCH_PYTHON.value
    return _sides.Side(script, side, python, environment)


def _print_rows(result: dict, *, first: bool) -> None:
    """A line for each side: medians, and the spread of the rounds' ratios."""
    if first:
        print(
            f"{'network':<12}{'batch':>6}  {'side':<14}{'images/s':>10}  "
            f"{'cnnlab is (min-max)':<20}{'first step, s':>14}{'peak memory, MiB':>18}"
        )
    for side, found in result["sides"].items():
        ratio = result["ratios"].get(side)
        speed = statistics.median(found["images_per_second"])
        print(
            f"{result['name']:<12}{result['batch'][0]:>6}  {side:<14}"
            f"{speed:>10,.{0 if speed >= 10 else 1}f}  "
            f"{_sides.spread(ratio) if ratio else '':<20}{found['first_step_seconds']:>14.1f}"
            f"{'–' if found['peak_mib'] is None else format(found['peak_mib'], ',.0f'):>18}",
            flush=True,
        )
