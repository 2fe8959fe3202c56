"""Fits a baseline: features, standardisation, logistic regression, and the networks' metrics.

The run folder is that of a network (`cnnlab.train.runtime.workdir`) with `weights.npz` instead of
`checkpoints/`. Steps and epochs both count iterations of the solver, which uses all training
examples. Only `data`, `model.name` and `model.options` of the config matter; fields about gradient
steps (batch_size, epochs, seed, optimizer, schedule, augment, loss, checkpoint, ...) are not read.
"""

import contextlib
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from cnnlab.classical.linear import fit_linear, standardize
from cnnlab.classical.options import Options, make_options
from cnnlab.classical.restore import WEIGHTS, ClassicalRun, metric_sums
from cnnlab.config import Config, validate
from cnnlab.data import Dataset, DatasetRecord
from cnnlab.data.describe import describe
from cnnlab.errors import UserError
from cnnlab.train.callbacks.json_lines import MetricsFile, finite
from cnnlab.train.callbacks.progress import Display, PlainDisplay
from cnnlab.train.callbacks.tensorboard import add_row, open_events
from cnnlab.train.run_data import load_data
from cnnlab.train.runtime.lock import hold
from cnnlab.train.runtime.run_mirror import written_run
from cnnlab.train.runtime.workdir import Workdir

# The solver needs the features of all training examples at once.
_MAX_BYTES = 4 * 2**30
_LOCK = ".lock"


def fit(config: Config, workdir: str | Path, *, display: Display | None = None) -> dict[str, Any]:
    """Fits a baseline; a complete fit in `workdir` is kept, an interrupted one starts over.

    Args:
      config: experiment whose `model.name` is a baseline's.
      workdir: the run's folder, also in an object store.
      display: shows progress; None prints plain lines.

    Returns:
      The content of result.json, with the entries that `cnnlab.train.fit` returns.

    Raises:
      UserError: for any mistake that the user can correct.
    """
    display = display or PlainDisplay()
    validate(config)
    if config.task != "classification":
        raise UserError(
            f"model.name={config.model.name} is a baseline of classification, and "
            f"task={config.task}: set task=classification, or choose a network, as unet_bn."
        )
    options = make_options(config)
    with written_run(workdir) as path:
        return _fit_in(Workdir(path), config, options, display)


def _fit_in(folder: Workdir, config: Config, options: Options, display: Display) -> dict[str, Any]:
    if folder.has_run:
        folder.check_config(config)
        result = folder.result()
        if result is not None:
            display.note(f"{folder.shown} is complete; nothing is left to train.")
            return result
    dataset = load_data(config, folder.dataset_record() if folder.has_dataset else None)
    for line in describe(dataset):
        display.note(line)
    # Shapes are checked before anything is written, so that a mistake leaves no run behind.
    _check_size(options, dataset)
    folder.create()
    with hold(folder.path / _LOCK):
        folder.start(config, DatasetRecord(dataset.info, dataset.paths), sys.argv)
        return _fit(config, options, dataset, folder, display)


def _check_size(options: Options, dataset: Dataset) -> None:
    examples, length = len(dataset.splits["train"]), options.hog.length(dataset.info.image_shape)
    size = 4 * examples * length
    if size > _MAX_BYTES:
        raise UserError(
            f"{length:,} features of each of {examples:,} training images take "
            f"{size / 2**30:.1f} GiB, more than the {_MAX_BYTES // 2**30} GiB that are allowed: "
            f"raise model.options.cell_size={options.cell_size} or lower data.image_size."
        )


def _fit(
    config: Config, options: Options, dataset: Dataset, folder: Workdir, display: Display
) -> dict[str, Any]:
    info, splits = dataset.info, dataset.splits
    hog = options.hog
    began = time.monotonic()
    examples, length = len(splits["train"]), hog.length(info.image_shape)
    display.note(f"Computing {length:,} features of each of {examples:,} training images.")
    features, labels = np.empty((examples, length), np.float32), np.empty(examples, np.int32)
    done = 0
    for some, their_labels in hog.over(splits["train"]):
        rows = slice(done, done + len(some))
        features[rows], labels[rows] = some, their_labels
        done += len(some)
    mean, scale = standardize(features)
    display.note(f"Fitting logistic regression ({time.monotonic() - began:.1f} s so far).")
    scaled = fit_linear(
        features,
        labels,
        num_classes=info.num_classes,
        C=options.C,
        max_iterations=options.max_iterations,
    )
    seconds = time.monotonic() - began
    if scaled.step >= options.max_iterations:
        display.note(
            f"The solver stopped at model.options.max_iterations={options.max_iterations} before "
            "it converged."
        )
    record = DatasetRecord(info, dataset.paths)
    run = ClassicalRun(config, hog, scaled.of_unscaled(mean, scale), record)
    run.linear.save(folder.path / WEIGHTS)

    # The training features are at hand, standardised; those of other splits are not held.
    sums = {"train": metric_sums(run.task, scaled, [(features, labels)])}
    sums |= {split: run.sums(splits[split]) for split in ("validation", "test") if split in splits}
    numbers = {split: finite(run.task.finalize(value)) for split, value in sums.items()}
    rows, events = MetricsFile(folder.metrics), open_events(folder.path)
    with contextlib.closing(rows), contextlib.closing(events):
        for split, own in numbers.items():
            row = {"step": run.step, "epoch": float(run.step), "split": split, **own}
            rows.write(row)
            add_row(events, row)
        rows.protect()
    folder.write_array(folder.confusion, sums["test"]["confusion"])
    result = {
        "test": numbers["test"],
        "checkpoint_step": run.step,
        "steps": run.step,
        "num_parameters": run.linear.weights.size + run.linear.bias.size,
        "seconds": round(seconds, 1),
    }
    folder.write("result.json", result)
    return result
