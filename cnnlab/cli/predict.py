"""Classify image files with a trained run.

usage: python launch.py predict --workdir=FOLDER IMAGE... [--top=5] [--checkpoint=best] [--json]

An image is brought to the channels and size of the run's data. With --json, one JSON object on one
line comes last on standard output: for every file its most probable classes.
"""

import json

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
        "checkpoint", "best", "Which weights: best, latest or a step.", flag_values=values
    )
    flags.DEFINE_bool("json", False, "Print one JSON object, last.", flag_values=values)


def run(values: flags.FlagValues, overrides: dict[str, str], positional: list[str]) -> int:
    """Classifies and prints."""
    require("workdir", values.workdir)
    if not positional:
        raise UserError("predict needs at least one image file.")
    enable_compilation_cache()
    from cnnlab.cli.runs import load_run
    from cnnlab.data.image import read_image

    trained = load_run(values.workdir, values.checkpoint)
    info = trained.info
    images = np.stack([read_image(path, info.image_shape) for path in positional])
    predictions = []
    for path, probabilities in zip(positional, trained.probabilities(images), strict=True):
        order = np.argsort(-probabilities)[: values.top]
        top = [
            {"class": info.class_names[i], "probability": round(float(probabilities[i]), 6)}
            for i in order
        ]
        predictions.append({"image": path, "top": top})
    if values.json:
        print(json.dumps({"checkpoint_step": trained.step, "predictions": predictions}))
        return 0
    for prediction in predictions:
        print(prediction["image"])
        for entry in prediction["top"]:
            print(f"  {100 * entry['probability']:6.2f} %  {entry['class']}")
    return 0
