"""Runs `launch.py predict`; its help and its flags are `cnnlab.cli.flags.predict`."""

import contextlib
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags
from PIL import Image

from cnnlab.cli.arguments import require
from cnnlab.cli.jax_setup import enable_compilation_cache
from cnnlab.cli.runs import load_run
from cnnlab.data.image import inspect_image, read_image
from cnnlab.data.sources.files import InputFile, input_files
from cnnlab.errors import UserError
from cnnlab.inference.label_maps import segment_image
from cnnlab.inference.prediction_files import (
    file_probabilities,
    prediction_table,
    scaling_notes,
    table_columns,
)
from cnnlab.report.label_pixels import background_class, overlay, save_indexed_png
from cnnlab.report.palette import make_palette
from cnnlab.storage.object_store import is_url, located
from cnnlab.storage.output_file import check_output, check_output_folder, output_file

Predictions = Iterator[dict[str, Any]]


def run(values: flags.FlagValues, overrides: dict[str, str], positional: list[str]) -> None:
    """Predicts image files and prints or writes the results."""
    require("workdir", values.workdir)
    if not positional:
        raise UserError("predict needs at least one image file, or a folder of them.")
    if values.table is not None:
        check_output(values.table, name="table")
    enable_compilation_cache()
    trained = load_run(values.workdir, values.checkpoint)
    task = trained.config.task
    own = {"classification": ("top",), "multilabel": ("threshold",),
           "segmentation": ("out", "tile", "overlap", "tta")}  # fmt: skip
    for other, names in own.items():
        for name in names if other != task else ():
            if values[name].present:
                raise UserError(f"--{name} is for {other}, and this run is of {task}.")
    left_out: Counter[str] = Counter()
    files = input_files(positional, left_out)
    if left_out:
        reasons = ", ".join(f"{count} {reason}" for reason, count in left_out.items())
        print(f"{len(files)} images; left out: {reasons}.", file=sys.stderr)
    for note in scaling_notes(trained, [file.path for file in files]):
        print(note, file=sys.stderr)
    predict, show = _classify, _print_classes
    if task == "segmentation":
        predict, show = _segment, _print_shares
    collected = []
    with contextlib.ExitStack() as stack:
        write = None
        if values.table is not None:
            names = trained.info.class_names
            columns = table_columns(task, names, top=min(values.top, len(names)))
            write = stack.enter_context(prediction_table(values.table, columns))
        for prediction in predict(trained, values, files):
            if write is not None:
                write(prediction)
            if values.json:
                collected.append(prediction)
            else:
                show(prediction, values)
    if values.json:
        print(json.dumps({"checkpoint_step": trained.step, "predictions": collected}))


def _classify(trained: Any, values: flags.FlagValues, files: list[InputFile]) -> Predictions:
    """Names the most probable classes of each image; of multilabel, those above the threshold."""
    names, multilabel = trained.info.class_names, trained.config.task == "multilabel"
    found = file_probabilities(trained, [file.path for file in files])
    for file, probabilities in zip(files, found, strict=True):
        order = np.argsort(-probabilities, kind="stable")
        above = probabilities[order] > values.threshold
        chosen = order[above] if multilabel else order[: values.top]
        yield {
            "image": file.path,
            "labels" if multilabel else "top": [
                {"class": names[i], "probability": round(float(probabilities[i]), 6)}
                for i in chosen
            ],
        }


def _segment(trained: Any, values: flags.FlagValues, files: list[InputFile]) -> Predictions:
    require("out", values.out)
    names = trained.info.class_names
    background = background_class(names)
    palette = make_palette(background)
    for file, written in zip(files, _written(located(values.out), files), strict=True):
        header = inspect_image(file.path)
        shape = header.height, header.width, trained.info.image_shape[-1]
        image = read_image(file.path, shape, trained.info.dtype)
        labels = segment_image(
            trained, image, tile=values.tile, overlap=values.overlap, tta=values.tta
        )
        if not is_url(written["labels"]):
            Path(written["labels"]).parent.mkdir(parents=True, exist_ok=True)  # a folder's folder
        save_indexed_png(written["labels"], labels, palette)
        drawn = overlay(image, labels, palette, background=background)
        with output_file(written["overlay"]) as temporary:
            Image.fromarray(drawn).save(temporary)
        counts = np.bincount(labels.ravel(), minlength=len(names))
        shares = {
            names[i]: round(float(counts[i] / labels.size), 6)
            for i in np.argsort(-counts, kind="stable")
            if counts[i]
        }
        yield {"image": file.path, **written, "shares": shares}


def _written(out: Path | str, files: list[InputFile]) -> list[dict[str, str]]:
    """Makes the folder; returns the files to write for each image, none of which overwrites one."""
    if is_url(out):
        check_output(f"{out}/x")
    else:
        check_output_folder(out)
    taken = {Path(file.path).resolve(): file.path for file in files}
    written = []
    for file in files:
        base = f"{out}/{file.name}"
        written.append({"labels": f"{base}.png", "overlay": f"{base}_overlay.png"})
        for path in map(Path, written[-1].values()):
            if path.resolve() in taken:
                raise UserError(
                    f"{path} of '{file.path}' would overwrite '{taken[path.resolve()]}' or one "
                    "of its results: choose another --out, or predict it separately."
                )
            taken[path.resolve()] = file.path
    return written


def _print_classes(prediction: dict[str, Any], values: flags.FlagValues) -> None:
    print(prediction["image"])
    entries = prediction.get("top", prediction.get("labels"))
    for entry in entries:
        print(f"  {100 * entry['probability']:6.2f} %  {entry['class']}")
    if not entries:
        print(f"  no label above {100 * values.threshold:g} %")


def _print_shares(prediction: dict[str, Any], values: flags.FlagValues) -> None:
    shares = prediction["shares"].items()
    told = ", ".join(f"{name} {100 * share:.1f} %" for name, share in shares)
    print(f"{prediction['image']} -> {prediction['labels']}: {told}")
