"""Look into a trained run: filters, maps, Grad-CAM, mistakes, calibration, robustness and more.

usage: python launch.py analyze KIND --workdir=FOLDER [IMAGE...] [--out=FILE] [--arrays=FILE.npz]
       python launch.py analyze curves FOLDER FOLDER... [--out=FILE]

kinds that look into the network:
  filters               kernels of the first layer
  feature_maps          maps of the backbone, or of --layer, for one image
  statistics            activations, channels that are off, and gradients of each layer
  receptive_field       what the backbone's maps, or --layer, see of an image, and how strongly

kinds that explain images, those given or some of the split (--target names another class):
  grad_cam              where the class is seen, at the coarsest map or at --layer
  grad_cam_plus_plus    the same, with weights that find several objects
  integrated_gradients  what each pixel adds to the class
  occlusion             where covering the image makes the class less probable

kinds that look at many examples of the split:
  pca, tsne             a map of examples by what the network makes of them
  mistakes              the surest wrong answers, or the images with most wrong pixels
  confusion             how often each class is taken for each
  calibration           whether probabilities are true, with temperature scaling
  robustness            the score on images that are shifted, noisy, blurred, faint
  shift_consistency     how often the class stays the same when the image is shifted

kinds that look at several runs:
  curves                loss and scores over training; runs that differ by seed are one curve

The picture goes to --out, by default WORKDIR/analysis/KIND.png; its ending tells the format, .png,
.svg or .pdf. --arrays keeps the numbers it was drawn from, for numpy.load. With --json, one JSON
object on one line comes last on standard output.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

from cnnlab.cli.arguments import require
from cnnlab.cli.platform import enable_compilation_cache
from cnnlab.errors import UserError, did_you_mean


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of this command."""
    flags.DEFINE_string("workdir", None, "Folder of the run.", flag_values=values)
    flags.DEFINE_string(
        "split", "test", "Which split: train, validation or test.", flag_values=values
    )
    flags.DEFINE_string(
        "checkpoint", "best", "Which weights: best, latest or a step.", flag_values=values
    )
    flags.DEFINE_integer(
        "examples", None, "How many examples of the split; unset takes what suits the kind.",
        lower_bound=1, flag_values=values,
    )  # fmt: skip
    flags.DEFINE_string("layer", None, "Name of a layer, e.g. backbone/conv2.", flag_values=values)
    flags.DEFINE_string(
        "target", None, "The class to explain; unset takes the predicted one.", flag_values=values
    )
    flags.DEFINE_integer(
        "max_shift", 3, "Largest shift on each axis, in pixels.", lower_bound=1, flag_values=values
    )
    flags.DEFINE_string("out", None, "The picture to write.", flag_values=values)
    flags.DEFINE_string("arrays", None, "The file of arrays to write, .npz.", flag_values=values)
    flags.DEFINE_bool("json", False, "Print one JSON object, last.", flag_values=values)


def run(values: flags.FlagValues, overrides: dict[str, str], positional: list[str]) -> int:
    """Computes, draws, and tells."""
    if not positional:
        raise UserError("analyze what? Say 'analyze KIND'; 'analyze --help' lists the kinds.")
    kind, *rest = positional
    enable_compilation_cache()
    from cnnlab.cli.analyses import KINDS

    if kind != "curves" and kind not in KINDS:
        hint = did_you_mean(kind, [*KINDS, "curves"])
        raise UserError(f"There is no analysis '{kind}'.{hint}")
    _refuse_flags(kind, values)
    if kind == "curves":
        folders = [*([values.workdir] if values.workdir else []), *rest]
        out = _picture_path(values, kind, folders[0] if len(folders) == 1 else None)
        outcome = _curves(folders)
    else:
        require("workdir", values.workdir)
        out = _picture_path(values, kind, values.workdir)
        outcome = _of_run(kind, values, rest)
    _write(outcome.picture, out)
    files = {"picture": str(out)}
    if values.arrays:
        _write_arrays(values.arrays, outcome.arrays)
        files["arrays"] = values.arrays
    if values.json:
        print(json.dumps({"kind": kind, **files, **outcome.numbers}))
        return 0
    print(f"{kind}: {', '.join(files.values())}")
    for line in _lines(outcome.numbers):
        print(f"  {line}")
    return 0


def _of_run(kind: str, values: flags.FlagValues, paths: list[str]) -> Any:
    from cnnlab.cli.analyses import KINDS, OF_IMAGES, Request
    from cnnlab.cli.runs import load_run

    if paths and kind not in OF_IMAGES:
        raise UserError(f"{kind} looks at a split of the data, and takes no images: '{paths[0]}'.")
    if paths and values["split"].present:
        raise UserError(f"Give either --split={values.split} or images, and not both.")
    request = Request(
        kind=kind,
        run=load_run(values.workdir, values.checkpoint),
        paths=paths,
        split=values.split,
        examples=values.examples,
        layer=values.layer,
        target=values.target,
        max_shift=values.max_shift,
    )
    return KINDS[kind](request)


def _refuse_flags(kind: str, values: flags.FlagValues) -> None:
    """Raises a `UserError` for a flag that the kind would not look at."""
    attributions = ("grad_cam", "grad_cam_plus_plus", "integrated_gradients", "occlusion")
    users = {
        "layer": ("feature_maps", "grad_cam", "grad_cam_plus_plus", "receptive_field"),
        "target": attributions,
        "max_shift": ("shift_consistency",),
    }
    for name, kinds in users.items():
        if values[name].present and kind not in kinds:
            raise UserError(f"--{name} is for {', '.join(kinds)}, and not for {kind}.")


def _picture_path(values: flags.FlagValues, kind: str, folder: str | None) -> Path:
    """Where the picture goes; a path that cannot be is an error before anything is computed."""
    from matplotlib.backend_bases import FigureCanvasBase

    if values.out or folder is None:
        out = Path(values.out or f"{kind}.png")
    else:
        out = Path(folder, "analysis", f"{kind}.png")
    formats = sorted(FigureCanvasBase.get_supported_filetypes())
    if out.suffix.removeprefix(".") not in formats:
        raise UserError(f"--out={out}: its ending must be one of {', '.join(formats)}.")
    if values.out and not out.parent.is_dir():
        raise UserError(f"--out={out}: there is no folder '{out.parent}'.")
    if values.arrays and not Path(values.arrays).parent.is_dir():
        folder = Path(values.arrays).parent
        raise UserError(f"--arrays={values.arrays}: there is no folder '{folder}'.")
    if values.arrays and not values.arrays.endswith(".npz"):
        raise UserError(f"--arrays={values.arrays}: its ending must be .npz.")
    return out


def _curves(folders: list[str]) -> Any:
    from cnnlab.cli.analyses import Outcome
    from cnnlab.cli.analyses.curves import collect_curves
    from cnnlab.report.run_curves import plot_run_curves

    if not folders:
        raise UserError("analyze curves needs the folders of runs.")
    panels = collect_curves(folders)
    arrays = {
        f"{group}/{panel}/{name}": array
        for panel, groups in panels.items()
        for group, spread in groups.items()
        for name, array in spread._asdict().items()
    }
    numbers = {
        f"{panel} at the end": {
            group: {"mean": float(spread.mean[-1]), "std": float(spread.std[-1]),
                    "runs": int(spread.count[-1])}
            for group, spread in groups.items()
        }
        for panel, groups in panels.items()
    }  # fmt: skip
    return Outcome(plot_run_curves(panels), arrays, numbers)


def _write(picture: Any, out: Path) -> None:
    from PIL import Image

    out.parent.mkdir(exist_ok=True)
    if isinstance(picture, np.ndarray):
        Image.fromarray(picture).save(out)
    else:
        picture.savefig(out)


def _write_arrays(path: str, arrays: dict[str, np.ndarray]) -> None:
    # In an archive, a name with a slash is a file in a folder.
    np.savez_compressed(path, **{name.replace("/", "_"): x for name, x in arrays.items()})


def _lines(numbers: dict[str, Any]) -> list[str]:
    """Numbers for a person, one a line."""
    lines = []
    for name, value in numbers.items():
        if isinstance(value, dict):
            value = "  ".join(f"{key} {_shown(number)}" for key, number in value.items())
        elif isinstance(value, list) and name == "most_confused":
            value = ", ".join(f"{a} as {b} {count}" for a, b, count in value)
        elif isinstance(value, list):
            value = ", ".join(str(x).replace("\n", " ") for x in value)
        lines.append(f"{name.replace('_', ' '):<14} {_shown(value)}")
    return lines


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "(" + " ".join(f"{key} {_shown(number)}" for key, number in value.items()) + ")"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
