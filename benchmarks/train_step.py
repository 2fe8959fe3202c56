"""Times training steps of cnnlab against the same networks in PyTorch, side by side.

    python benchmarks/train_step.py
    python benchmarks/train_step.py --networks=resnet18 --rounds=9 --json=result.json

Both sides get float32 images that lie in memory already, and do the whole step: forward, softmax
cross-entropy, backward, SGD with momentum 0.9 and weight decay. PyTorch runs as its users run it:
eager, `channels_last`. Each side lives in a process of its own, so that their threads and their
memory do not meet; they take turns, round by round, so that other work on the machine hits both.
"""

import importlib.util
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
from absl import app, flags

# Batch size, image shape, and steps of one round (about a second each).
NETWORKS = {
    "lenet": (256, (28, 28, 1), 60),
    "lenet_relu": (256, (28, 28, 1), 60),
    "resnet18": (64, (32, 32, 3), 2),
}
LEARNING_RATE, MOMENTUM, WEIGHT_DECAY = 0.01, 0.9, 5e-4

_NETWORKS = flags.DEFINE_list("networks", list(NETWORKS), "Which networks to time.")
_ROUNDS = flags.DEFINE_integer("rounds", 7, "Rounds of each side; the median is reported.", 1)
_JSON = flags.DEFINE_string("json", None, "Also write the results to this file.")
_QUICK = flags.DEFINE_bool("quick", False, "A smoke test: small batches, two short rounds.")
_TORCH_PYTHON = flags.DEFINE_string(
    "torch_python", sys.executable, "The interpreter that has PyTorch, if it is not this one."
)
_WORKER = flags.DEFINE_enum("worker", None, ["cnnlab", "torch"], "Used by the script itself.")


def cnnlab_step(name: str, batch_size: int, shape: tuple[int, ...]) -> Callable[[int], float]:
    """Compiles cnnlab's step; returns a function that does so many steps and gives the loss."""
    import jax
    import optax

    import cnnlab

    options = {"stem": "cifar"} if name == "resnet18" else {}
    model = cnnlab.create_model(name, num_classes=10, **options)
    tx = optax.chain(
        optax.add_decayed_weights(WEIGHT_DECAY), optax.sgd(LEARNING_RATE, momentum=MOMENTUM)
    )
    state = cnnlab.train.create_state(model, tx, image_shape=shape, seed=0)
    step = cnnlab.train.make_train_step(model, cnnlab.tasks.Classification(10), tx)
    call = jax.jit(step, donate_argnums=0)
    images, labels = make_batch(batch_size, shape)
    batch = {"image": images, "label": labels, "mask": np.ones(batch_size, np.float32)}
    batch = jax.device_put(batch)

    def run(steps: int) -> float:
        nonlocal state
        for _ in range(steps):
            state, sums = call(state, batch)
        return float(sums["loss"]) / batch_size

    return run


def torch_step(name: str, batch_size: int, shape: tuple[int, ...]) -> Callable[[int], float]:
    """The same for PyTorch."""
    import torch
    from _peer_models import MODELS

    torch.manual_seed(0)
    model = MODELS[name]().to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(
        model.parameters(), LEARNING_RATE, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY
    )
    images, labels = make_batch(batch_size, shape)
    images = torch.from_numpy(images).permute(0, 3, 1, 2)  # NHWC in memory: channels_last
    labels = torch.from_numpy(labels).long()

    def run(steps: int) -> float:
        for _ in range(steps):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(images), labels)
            loss.backward()
            optimizer.step()
        return loss.item()

    return run


def make_batch(batch_size: int, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Random images and labels, the same on both sides."""
    rng = np.random.default_rng(0)
    images = rng.normal(size=(batch_size, *shape)).astype(np.float32)
    return images, rng.integers(10, size=batch_size).astype(np.int32)


def peak_memory_mib() -> float:
    """The most memory that this process has held, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def work(side: str) -> None:
    """A worker: reads one JSON request a line, answers each with one line."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a library prints goes to stderr, not among the answers
    run = None
    for line in sys.stdin:
        request = json.loads(line)
        start = time.perf_counter()
        if run is None:
            build = cnnlab_step if side == "cnnlab" else torch_step
            run = build(request["name"], request["batch_size"], tuple(request["shape"]))
            loss = run(1)
        else:
            loss = run(request["steps"])
        seconds = time.perf_counter() - start
        answer = {"seconds": seconds, "loss": loss, "peak_mib": peak_memory_mib()}
        print(json.dumps(answer), file=answers)


class Worker:
    """A child process that times one side of one network."""

    def __init__(self, python: str, side: str):
        root = pathlib.Path(__file__).resolve().parent.parent
        paths = [str(root), os.environ.get("PYTHONPATH", "")]  # times this checkout
        self._process = subprocess.Popen(
            [python, os.path.abspath(__file__), f"--worker={side}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
        )

    def ask(self, **request: object) -> dict[str, float]:
        """Sends a request and waits for its answer."""
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"A worker ended early, status {self._process.wait()}; see above.")
        return json.loads(line)

    def close(self) -> None:
        """Ends the child process."""
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def has_torch(python: str) -> bool:
    """Whether an interpreter can import PyTorch."""
    if python == sys.executable:
        return importlib.util.find_spec("torch") is not None
    command = [python, "-c", "import torch"]
    return subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == 0


def measure(name: str, pythons: dict[str, str], rounds: int, quick: bool) -> dict:
    """Times all sides on one network, in turns.

    Returns:
      For each side `images_per_second` (one value a round), `first_step_seconds` (imports,
      weights, compilation, one step), `peak_mib`; and `ratio`, our speed over theirs, by round.
    """
    batch_size, shape, steps = NETWORKS[name]
    if quick:
        batch_size, steps = 8, 2
    workers = {side: Worker(python, side) for side, python in pythons.items()}
    result: dict = {"name": name, "batch_size": batch_size, "image_shape": shape}
    try:
        for side, worker in workers.items():
            first = worker.ask(name=name, batch_size=batch_size, shape=shape)
            worker.ask(steps=steps)  # warm-up: allocators and thread pools settle
            result[side] = {"first_step_seconds": first["seconds"], "images_per_second": []}
        for _ in range(rounds):
            for side, worker in workers.items():
                answer = worker.ask(steps=steps)
                result[side]["images_per_second"].append(batch_size * steps / answer["seconds"])
                result[side]["peak_mib"] = answer["peak_mib"]
    finally:
        for worker in workers.values():
            worker.close()
    if "torch" in result:
        pairs = zip(*(result[s]["images_per_second"] for s in ("cnnlab", "torch")), strict=True)
        result["ratio"] = [ours / theirs for ours, theirs in pairs]
    return result


def print_table(results: list[dict]) -> None:
    """Prints medians, and the spread of the rounds' ratios."""
    print(
        f"{'network':<12}{'batch':>6}{'cnnlab':>10}{'PyTorch':>10}  {'ratio (min-max)':<18}"
        f"{'first step':>16}{'peak memory':>16}"
    )
    print(f"{'':<18}{'images/s':>10}{'images/s':>10}{'':<20}{'s':>16}{'MiB':>16}")
    for result in results:
        sides = [result[side] for side in ("cnnlab", "torch") if side in result]
        speeds = [f"{statistics.median(side['images_per_second']):.0f}" for side in sides]
        firsts = " / ".join(f"{side['first_step_seconds']:.1f}" for side in sides)
        peaks = " / ".join(f"{side['peak_mib']:.0f}" for side in sides)
        ratio, pair = "", result.get("ratio")
        if pair:
            ratio = f"{statistics.median(pair):.2f} ({min(pair):.2f}-{max(pair):.2f})"
        print(
            f"{result['name']:<12}{result['batch_size']:>6}{speeds[0]:>10}"
            f"{speeds[1] if pair else '-':>10}  {ratio:<18}{firsts:>16}{peaks:>16}"
        )


def main(argv: list[str]) -> None:
    del argv
    if _WORKER.value:
        work(_WORKER.value)
        return
    unknown = sorted(set(_NETWORKS.value) - set(NETWORKS))
    if unknown:
        raise app.UsageError(f"--networks: {unknown} not among {sorted(NETWORKS)}.")
    pythons = {"cnnlab": sys.executable}
    if has_torch(_TORCH_PYTHON.value):
        pythons["torch"] = _TORCH_PYTHON.value
    else:
        print("PyTorch is not installed: timing cnnlab alone. To compare, `pip install torch`.")
    rounds = 2 if _QUICK.value else _ROUNDS.value
    results = [measure(name, pythons, rounds, _QUICK.value) for name in _NETWORKS.value]
    print_table(results)
    if _JSON.value:
        with open(_JSON.value, "w") as file:
            json.dump(results, file, indent=2)


if __name__ == "__main__":
    app.run(main)
