"""Classify image files with a trained run, or segment them.

usage: python launch.py predict --workdir=FOLDER IMAGE... [--top=5] [--checkpoint=best] [--json]
       python launch.py predict --workdir=FOLDER IMAGE... --out=FOLDER [--tile=512] [--tta] [--json]

Classification: an image is brought to the channels and size of the run's data. With --json, one
JSON object on one line comes last on standard output: for every file its most probable classes.

Segmentation writes OUT/NAME.png, whose pixels are the classes of the image's pixels (indexed, with
a palette), and OUT/NAME_overlay.png, to look at. An image is predicted at the size of the run's
data, or with --tile in windows at its full size, which may be larger than memory would take at
once. Of every file it tells, with --json as one JSON object, the share of pixels of each class.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

from cnnlab.cli.arguments import require
from cnnlab.cli.platform import enable_compilation_cache
from cnnlab.errors import UserError


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of this command."""
    flags.DEFINE_string("workdir", None, "Folder of the run.", flag_values=values)
    flags.DEFINE_integer("top", 5, "How many classes to name.", lower_bound=1, flag_values=values)
    flags.DEFINE_string(
        "out", None, "Segmentation: the folder to write into.", flag_values=values
    )  # fmt: skip
    flags.DEFINE_integer(
        "tile", None, "Segmentation: predict in windows of that side, in pixels.",
        lower_bound=1, flag_values=values,
    )  # fmt: skip
    flags.DEFINE_integer(
        "overlap", None, "Of windows, in pixels; a quarter of their side where unset.",
        lower_bound=0, flag_values=values,
    )  # fmt: skip
    flags.DEFINE_bool(
        "tta", False, "Segmentation: the mean over three scales, and over flips that the run was "
        "trained with.", flag_values=values,
    )  # fmt: skip
    flags.DEFINE_string(
        "checkpoint", "best", "Which weights: best, latest or a step.", flag_values=values
    )
    flags.DEFINE_bool("json", False, "Print one JSON object, last.", flag_values=values)


def run(values: flags.FlagValues, overrides: dict[str, str], positional: list[str]) -> int:
    """Predicts and prints."""
    require("workdir", values.workdir)
    if not positional:
        raise UserError("predict needs at least one image file.")
    enable_compilation_cache()
    from cnnlab.cli.runs import load_run

    trained = load_run(values.workdir, values.checkpoint)
    segmentation = trained.config.task == "segmentation"
    for name in ("top",) if segmentation else ("out", "tile", "overlap", "tta"):
        if values[name].present:
            other = "classification" if segmentation else "segmentation"
            raise UserError(f"--{name} is for {other}, and this run is of {trained.config.task}.")
    predictions = (_segment if segmentation else _classify)(trained, values, positional)
    if values.json:
        print(json.dumps({"checkpoint_step": trained.step, "predictions": predictions}))
    return 0


def _classify(trained: Any, values: flags.FlagValues, paths: list[str]) -> list[dict[str, Any]]:
    from cnnlab.data.image import read_image

    info = trained.info
    images = np.stack([read_image(path, info.image_shape) for path in paths])
    predictions = []
    for path, probabilities in zip(paths, trained.probabilities(images), strict=True):
        order = np.argsort(-probabilities)[: values.top]
        top = [
            {"class": info.class_names[i], "probability": round(float(probabilities[i]), 6)}
            for i in order
        ]
        predictions.append({"image": path, "top": top})
    for prediction in [] if values.json else predictions:
        print(prediction["image"])
        for entry in prediction["top"]:
            print(f"  {100 * entry['probability']:6.2f} %  {entry['class']}")
    return predictions


def _segment(trained: Any, values: flags.FlagValues, paths: list[str]) -> list[dict[str, Any]]:
    require("out", values.out)
    from PIL import Image

    from cnnlab.data.image import open_image
    from cnnlab.report.overlays import background_class, overlay, save_indexed_png
    from cnnlab.report.palette import make_palette
    from cnnlab.train.segment import segment_image

    names, channels = trained.info.class_names, trained.info.image_shape[-1]
    background = background_class(names)
    palette = make_palette(background)
    predictions = []
    for path, files in zip(paths, _files(Path(values.out), paths), strict=True):
        image = np.asarray(open_image(path).convert("L" if channels == 1 else "RGB"))
        image = image.reshape(*image.shape[:2], channels)
        labels = segment_image(
            trained, image, tile=values.tile, overlap=values.overlap, tta=values.tta
        )
        save_indexed_png(files["labels"], labels, palette)
        drawn = overlay(image, labels, palette, background=background)
        Image.fromarray(drawn).save(files["overlay"])
        counts = np.bincount(labels.ravel(), minlength=len(names))
        shares = {
            names[i]: round(float(counts[i] / labels.size), 6)
            for i in np.argsort(-counts, kind="stable")
            if counts[i]
        }
        predictions.append({"image": path, **files, "shares": shares})
        if not values.json:
            told = ", ".join(f"{name} {100 * share:.1f} %" for name, share in shares.items())
            print(f"{path} -> {files['labels']}: {told}")
    return predictions


def _files(out: Path, paths: list[str]) -> list[dict[str, str]]:
    """Makes the folder; the files to write for each image, none of which is an image or another."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise UserError(f"--out={out} is a file, and must be a folder.") from error
    taken = {Path(path).resolve(): path for path in paths}
    files = []
    for path in paths:
        stem = Path(path).stem
        files.append({"labels": f"{out / stem}.png", "overlay": f"{out / stem}_overlay.png"})
        for file in map(Path, files[-1].values()):
            if file.resolve() in taken:
                raise UserError(
                    f"{file} of '{path}' would overwrite '{taken[file.resolve()]}' or what is "
                    "made of it: choose another --out, or predict it by itself."
                )
            taken[file.resolve()] = path
    return files
