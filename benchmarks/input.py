"""Times how fast batches come from files, beside a PyTorch DataLoader on the same files.

    python benchmarks/input.py
    python benchmarks/input.py --cases=jpeg --settings=1:0,2:2 --rounds=9 --json=result.json
    python benchmarks/input.py --before=../older     # beside another checkout of cnnlab

Both sides decode, bring images to one size and collate uint8 batches in a new order each epoch:

- jpeg: 256 generated JPEGs of about 400x300 pixels, scaled (bicubic) and cut to 224x224;
- tfds: the records of CIFAR-10 as TFDS has them on the disk, PNG files in array_record; left out
  where they are not there (`python launch.py prepare --dataset=cifar10`);
- memory: the same set held in memory, as cnnlab trains on it; a TensorDataset on the other side.

A setting is CORES:WORKERS. Without worker processes, cnnlab decodes in a thread for each core and
PyTorch in the thread that asks. Sides take turns; what lies ready before a round does not count.
"""

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import _sides
import numpy as np
from _torchvision import import_torchvision
from absl import app, flags
from PIL import Image

# Images of a batch, and batches of a round.
CASES = {"jpeg": (32, 16), "tfds": (256, 16), "memory": (256, 200)}
NUM_JPEGS, IMAGE_SIZE = 256, 224

_CASES = flags.DEFINE_list("cases", list(CASES), "What to read.")
_SETTINGS = flags.DEFINE_list("settings", ["1:0", "2:0", "2:1", "2:2"], "CORES:WORKERS of each.")
_ROUNDS = flags.DEFINE_integer("rounds", 7, "Rounds of each side; the median is reported.", 1)
_JSON = flags.DEFINE_string("json", None, "Also write the results to this file.")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Where TFDS data sets lie, if not where usual.")
_QUICK = flags.DEFINE_bool("quick", False, "A smoke test: two short rounds.")
_TORCH_PYTHON = flags.DEFINE_string(
    "torch_python", sys.executable, "The interpreter that has PyTorch, if it is not this one."
)
_BEFORE = flags.DEFINE_string(
    "before", None, "Another checkout of cnnlab, e.g. of an older version, in place of PyTorch."
)
_SIDE = flags.DEFINE_enum("side", None, ["cnnlab", "torch"], "Used by the script itself.")


def write_jpegs(folder: Path) -> None:
    """Photograph-like files: colors that change slowly, with some grain; 20 to 30 KB each."""
    rng = np.random.default_rng(0)
    for number in range(NUM_JPEGS):
        size = (400 + int(rng.integers(-40, 41)), 300 + int(rng.integers(-30, 31)))
        coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8))
        pixels = np.asarray(coarse.resize(size, Image.Resampling.BICUBIC), np.float32)
        pixels = (pixels + rng.normal(0, 6, pixels.shape)).clip(0, 255).astype(np.uint8)
        path = folder / "train" / f"class{number % 2}" / f"{number:03}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, quality=85)


def cnnlab_batches(case: str, batch_size: int, workers: int, folder: str) -> Iterator[Any]:
    """Endless batches of cnnlab, as its training loop gets them."""
    import cnnlab.data.cache
    import cnnlab.data.sources.tfds
    from cnnlab.data import ArraySource, train_batches
    from cnnlab.data.geometry.form import Wanted
    from cnnlab.data.sources.folder import load_splits

    if case == "jpeg":
        source = load_splits(Path(folder), Wanted(image_size=IMAGE_SIZE)).splits["train"]
    elif case == "tfds":
        cnnlab.data.cache.MAX_BYTES = 0  # streamed, as if it were too large for the memory
        source = cnnlab.data.sources.tfds.load_splits("cifar10", Wanted(), folder or None, None)[0][
            "train"
        ]
    else:
        source = ArraySource(*cifar_like())
    return train_batches(
        source, seed=0, batch_size=batch_size, start_step=0, stop_step=10**9, num_workers=workers
    )


def torch_batches(case: str, batch_size: int, workers: int, folder: str) -> Iterator[Any]:
    """The same of PyTorch."""
    import torch

    if case == "jpeg":
        transforms, datasets = map(import_torchvision, ("transforms", "datasets"))
        transform = transforms.Compose(
            [
                transforms.Resize(IMAGE_SIZE, transforms.InterpolationMode.BICUBIC),
                transforms.CenterCrop(IMAGE_SIZE),
                transforms.PILToTensor(),
            ]
        )
        dataset = datasets.ImageFolder(os.path.join(folder, "train"), transform)
    elif case == "tfds":
        import tensorflow_datasets as tfds

        # A PyTorch data set as it is: so TFDS's guide has it.
        dataset = tfds.data_source("cifar10", split="train", data_dir=folder or None)
    else:
        dataset = torch.utils.data.TensorDataset(*map(torch.from_numpy, cifar_like()))
    loader = torch.utils.data.DataLoader(
        dataset,
        batch_size=batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    while True:
        yield from loader


def cifar_like() -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of CIFAR-10's sizes."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (50000, 32, 32, 3), np.uint8), np.zeros(50000, np.int32)


def work(side: str) -> None:
    """In a child process: opens what the first request names, and reads as much as is asked for."""
    make = {"cnnlab": cnnlab_batches, "torch": torch_batches}[side]
    batches: Iterator[Any] = iter(())

    def answer(request: dict) -> dict:
        nonlocal batches
        if "case" in request:
            _sides.limit_cores(request.pop("cores"))
            if side == "torch":
                import torch

                torch.set_num_threads(1)  # for collating, in which more of them are slower
            batches = make(**request)
            next(batches)
            return {}
        for _ in range(request["skip"]):
            next(batches)
        start = time.perf_counter()
        for _ in range(request["count"]):
            next(batches)
        seconds = time.perf_counter() - start
        # What is made ahead now would take the other side's time.
        time.sleep(1.5 * seconds * request["skip"] / request["count"])
        return {"seconds": seconds}

    _sides.serve(answer)


def start(side: str, pythons: dict[str, str]) -> _sides.Side:
    """Starts the process of `cnnlab`, `torch` or `before`."""
    if side == "before":
        older = Path(_BEFORE.value) / "benchmarks" / Path(__file__).name
        return _sides.Side(str(older), "cnnlab")
    return _sides.Side(__file__, side, pythons[side])


def measure(case: str, setting: str, pythons: dict[str, str], rounds: int, folder: str) -> dict:
    """Times both sides in turns; images per second of each round, and ours over theirs."""
    cores, workers = map(int, setting.split(":"))
    batch_size, count = CASES[case]
    if _QUICK.value:
        batch_size, count = 8, 4
    # As many as either side makes ahead: two for each worker or thread, and those under way.
    skip = 4 * max(cores, workers) if case != "memory" else 2
    result: dict = {"case": case, "cores": cores, "workers": workers, "batch_size": batch_size}
    other = "before" if _BEFORE.value else "torch"
    names = ["cnnlab", *([other] if other in {"before", *pythons} else [])]
    sides = {side: start(side, pythons) for side in names}
    try:
        for side, process in sides.items():
            process.ask(
                case=case, batch_size=batch_size, workers=workers, folder=folder, cores=cores
            )
            process.ask(skip=skip, count=count)  # warm-up: files are in the system's cache
            result[side] = []
        for _ in range(rounds):
            for side, process in sides.items():
                seconds = process.ask(skip=skip, count=count)["seconds"]
                result[side].append(batch_size * count / seconds)
    finally:
        for process in sides.values():
            process.close()
    if other in result:
        result["ratio"] = _sides.ratios(result["cnnlab"], result[other])
    return result


def print_row(result: dict) -> None:
    """Prints medians, and the spread of the rounds' ratios."""
    sides = [side for side in ("cnnlab", "torch", "before") if side in result]
    speeds = [f"{statistics.median(result[side]):,.0f}" for side in sides]
    ratio = _sides.spread(result["ratio"]) if "ratio" in result else "-"
    print(
        f"{result['case']:<8}{result['cores']:>6}{result['workers']:>9}{speeds[0]:>12}"
        f"{speeds[1] if len(speeds) > 1 else '-':>12}  {ratio}",
        flush=True,
    )


def has_cifar10(data_dir: str | None) -> bool:
    """Whether TFDS has the set prepared as array_record."""
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder("cifar10", data_dir=data_dir, file_format="array_record")
        return len(builder.as_data_source(split="train")) > 0
    except Exception:  # several kinds, by version
        return False


def main(argv: list[str]) -> None:
    del argv
    if _SIDE.value:
        work(_SIDE.value)
        return
    unknown = sorted(set(_CASES.value) - set(CASES))
    if unknown:
        raise app.UsageError(f"--cases: {unknown} not among {sorted(CASES)}.")
    pythons = _sides.interpreters(_TORCH_PYTHON.value)
    rounds = 2 if _QUICK.value else _ROUNDS.value
    results = []
    other = "before" if _BEFORE.value else "PyTorch"
    print(f"{'case':<8}{'cores':>6}{'workers':>9}{'cnnlab':>12}{other:>12}  ratio (min-max)")
    print(f"{'':<23}{'images/s':>12}{'images/s':>12}")
    with tempfile.TemporaryDirectory() as jpegs:
        if "jpeg" in _CASES.value:
            write_jpegs(Path(jpegs))
        for case in _CASES.value:
            if case == "tfds" and not has_cifar10(_DATA_DIR.value):
                print("tfds    left out: CIFAR-10 is not prepared here; see --helpfull.")
                continue
            folder = {"jpeg": jpegs, "tfds": _DATA_DIR.value or "", "memory": ""}[case]
            # A set in memory is gathered by the process that trains.
            settings = ["1:0"] if case == "memory" else _SETTINGS.value
            for setting in settings:
                results.append(measure(case, setting, pythons, rounds, folder))
                print_row(results[-1])
    if _JSON.value:
        Path(_JSON.value).write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    app.run(main)
