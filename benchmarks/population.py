"""Times trials that differ in learning rate and seed: apart, one after the other, and together.

    python benchmarks/population.py
    python benchmarks/population.py --networks=mlp --members=1,8 --rounds=3 --json=result.json
    python benchmarks/population.py --full        # sizes for an accelerator
    python benchmarks/population.py --before=../older     # beside another checkout of cnnlab

The ways to train N trials, each from the start of a process to the last result on the disk:

- processes: a process for each, as many at a time as there are cores;
- one by one: in one process, each compiled for itself;
- shared: in one process, one after the other, with the compiled programs of the first;
- vmap: side by side in one program;
- auto: what `cnnlab.sweep.fit_group` takes by itself, with its measurement.

Every trial trains on the digits, is evaluated and saved at the end, and leaves a run folder. Each
measurement has a process of its own and no compilation cache; ways take turns, round by round.
"""

import dataclasses
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from absl import app, flags, logging


@dataclasses.dataclass(frozen=True)
class Case:
    """A network with its options, the size of images, the batch and how long it is trained."""

    model: str
    options: dict[str, Any]
    image_size: int
    batch_size: int
    steps: int


CPU = {
    "mlp": Case("mlp", {}, 28, 64, 400),
    "lenet": Case("lenet", {}, 28, 64, 200),
    "resnet18": Case("resnet18", {"stem": "cifar", "width": 16}, 16, 16, 20),
}
FULL = {
    "mlp": Case("mlp", {}, 28, 128, 5000),
    "lenet": Case("lenet", {}, 28, 128, 2000),
    "resnet18": Case("resnet18", {"stem": "cifar"}, 32, 128, 500),
}
WAYS = ("processes", "one by one", "shared", "vmap", "auto")

_NETWORKS = flags.DEFINE_list("networks", list(CPU), "Which networks to train.")
_MEMBERS = flags.DEFINE_list("members", None, "Numbers of trials; unset: 1 to 64, fewer of some.")
_WAYS = flags.DEFINE_list("ways", list(WAYS), "Which ways to measure.")
_ROUNDS = flags.DEFINE_integer("rounds", 1, "Measurements of each; the median is reported.", 1)
_FULL = flags.DEFINE_bool("full", False, "Larger networks and longer training.")
_JSON = flags.DEFINE_string("json", None, "Also write the results to this file.")
_BEFORE = flags.DEFINE_string(
    "before",
    None,
    "Another checkout of cnnlab, e.g. of an older version, measured in turns with this.",
)
_WORKER = flags.DEFINE_string("worker", None, "Used by the script itself.")
_FOLDER = flags.DEFINE_string("folder", None, "Used by the script itself.")

# Ways that compile for each trial are measured for few of them: a trial more takes as long again.
# So is vmap where one step of it takes minutes.
_MOST_ON_CPU = {
    ("processes", "mlp"): 4,
    ("processes", "lenet"): 4,
    ("processes", "resnet18"): 4,
    ("one by one", "mlp"): 16,
    ("one by one", "lenet"): 16,
    ("one by one", "resnet18"): 4,
    ("vmap", "resnet18"): 4,
}
_MEMBERS_ON_CPU = {"mlp": (1, 4, 16, 64), "lenet": (1, 4, 16, 64), "resnet18": (1, 4, 16)}


def configs(case: Case, members: int) -> list[Any]:
    """Trials from a rate of 0.01 to one of 0.1."""
    from cnnlab.config import (
        Config,
        DataConfig,
        EvaluationConfig,
        ModelConfig,
        OptimizerConfig,
    )

    return [
        Config(
            seed=number,
            batch_size=case.batch_size,
            epochs=None,
            steps=case.steps,
            log_every_steps=case.steps,
            data=DataConfig(name="digits", image_size=case.image_size),
            model=ModelConfig(name=case.model, options=case.options),
            optimizer=OptimizerConfig(
                learning_rate=0.01 * 10 ** (number / max(members - 1, 1)),
                weight_decay=5e-4,
                options={"momentum": 0.9},
            ),
            evaluation=EvaluationConfig(every_epochs=case.steps),  # at the end alone
        )
        for number in range(members)
    ]


def work(way: str, case: Case, members: int, folder: str) -> dict[str, float]:
    """Trains in this process; returns seconds of compilation, and memory in MiB."""
    import jax

    compiling = 0.0

    def listen(event: str, seconds: float, **_: Any) -> None:
        nonlocal compiling
        if event == "/jax/core/compile/backend_compile_duration":
            compiling += seconds

    jax.monitoring.register_event_duration_secs_listener(listen)
    from cnnlab.sweep import fit_group
    from cnnlab.train import fit
    from cnnlab.train.callbacks.progress import Silence

    trials = configs(case, members)
    folders = [pathlib.Path(folder) / str(number) for number in range(members)]
    if way.startswith("only "):
        number = int(way.removeprefix("only "))
        fit(trials[number], folders[number], callbacks=[Silence()])
    elif way == "one by one":
        for trial, own in zip(trials, folders, strict=True):
            fit(trial, own, callbacks=[Silence()])
    else:
        for result in fit_group(trials, folders, mode=way):
            if isinstance(result, Exception):
                raise result
    stats = jax.devices()[0].memory_stats() or {}
    host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"compiling": compiling, "memory": stats.get("peak_bytes_in_use", host * 2**20) / 2**20}


def run(case: Case, way: str, members: int, root: pathlib.Path) -> dict[str, float]:
    """One measurement of the checkout `root`, in processes of its own."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        if way != "processes":
            (found,) = wait([start(case, way, members, folder, root)])
            return found | {"wall": time.monotonic() - began}
        at_once = os.cpu_count() or 1
        found = []
        for first in range(0, members, at_once):
            numbers = range(first, min(first + at_once, members))
            found += wait([start(case, f"only {n}", members, folder, root) for n in numbers])
        return {
            "wall": time.monotonic() - began,
            "compiling": sum(one["compiling"] for one in found),
            "memory": max(one["memory"] for one in found) * min(members, at_once),
        }


def start(case: Case, way: str, members: int, folder: str, root: pathlib.Path) -> subprocess.Popen:
    """Starts a process that trains with the checkout `root`."""
    asked = json.dumps(dataclasses.asdict(case) | {"way": way, "members": members})
    environment = os.environ | {"JAX_ENABLE_COMPILATION_CACHE": "false", "PYTHONPATH": str(root)}
    script = root / "benchmarks" / "population.py"
    command = [sys.executable, str(script), f"--worker={asked}", f"--folder={folder}"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def wait(processes: list[subprocess.Popen]) -> list[dict[str, float]]:
    """What they print at their ends."""
    outputs = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        sys.exit("A training failed; see above.")
    return [json.loads(output.splitlines()[-1]) for output in outputs]


def measure(cases: dict[str, Case], report: Callable[[str], None]) -> list[dict[str, Any]]:
    """All measurements: a row for each network, number of trials and way."""
    roots = {"": pathlib.Path(__file__).resolve().parent.parent}
    if _BEFORE.value:
        roots["before: "] = pathlib.Path(_BEFORE.value).resolve()
    rows = []
    for name in _NETWORKS.value:
        numbers = (1, 4, 16, 64) if _FULL.value else _MEMBERS_ON_CPU[name]
        most = {} if _FULL.value or _MEMBERS.value else _MOST_ON_CPU
        for members in map(int, _MEMBERS.value or numbers):
            ways = [way for way in _WAYS.value if members <= most.get((way, name), members)]
            found: dict[tuple[str, str], list[dict[str, float]]] = {}
            for _ in range(_ROUNDS.value):
                for way in ways:
                    for version, root in roots.items():
                        measured = run(cases[name], way, members, root)
                        found.setdefault((version, way), []).append(measured)
                        report(f"{version}{name}, {members}, {way}: {measured}")
            for (version, way), measured in found.items():
                median = {
                    key: statistics.median(one[key] for one in measured)
                    for key in ("wall", "compiling", "memory")
                }
                rows.append({"network": version + name, "trials": members, "way": way, **median})
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """In Markdown: wall time, of that compilation, and memory, with a column for each way."""
    lines = [
        "| network | trials | " + " | ".join(WAYS) + " | auto / best |",
        "|---|--:|" + "--:|" * len(WAYS) + "--:|",
    ]
    for name, members in dict.fromkeys((row["network"], row["trials"]) for row in rows):
        cells = {r["way"]: r for r in rows if (r["network"], r["trials"]) == (name, members)}
        texts = [
            f"{r['wall']:.1f} s ({r['compiling']:.1f}), {r['memory']:,.0f} MiB" if r else "–"
            for r in map(cells.get, WAYS)
        ]
        others = [row["wall"] for way, row in cells.items() if way != "auto"]
        ratio = f"{cells['auto']['wall'] / min(others):.2f}" if others and "auto" in cells else "–"
        lines.append(f"| {name} | {members} | " + " | ".join(texts) + f" | {ratio} |")
    return "\n".join(lines)


def main(_: list[str]) -> None:
    """Measures, or trains as one of the processes."""
    logging.set_verbosity(logging.WARNING)  # Orbax tells of every file
    if _WORKER.value:
        asked = json.loads(_WORKER.value)
        way, members = asked.pop("way"), asked.pop("members")
        print(json.dumps(work(way, Case(**asked), members, _FOLDER.value)))
        return
    cases = FULL if _FULL.value else CPU
    rows = measure(cases, lambda text: print(text, file=sys.stderr))
    print(table(rows))
    if _JSON.value:
        pathlib.Path(_JSON.value).write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    app.run(main)
