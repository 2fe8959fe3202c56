"""Runs `launch.py analyze`; its help and its flags are `cnnlab.cli.flags.analyze`."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags
from PIL import Image

from cnnlab.cli.analyses import KINDS, OF_IMAGES, AnalysisResult, Request
from cnnlab.cli.analyses.curves import curves
from cnnlab.cli.arguments import check_picture, require
from cnnlab.cli.jax_setup import enable_compilation_cache
from cnnlab.cli.runs import load_run
from cnnlab.errors import UserError, did_you_mean
from cnnlab.storage.object_store import is_url, located
from cnnlab.storage.output_file import check_output, check_output_folder, output_file
from cnnlab.train.runtime.workdir import Workdir


def run(values: flags.FlagValues, overrides: dict[str, str], positional: list[str]) -> None:
    """Computes, draws and prints an analysis."""
    if not positional:
        raise UserError("analyze needs a kind: 'analyze KIND'; 'analyze --help' lists the kinds.")
    kind, *rest = positional
    enable_compilation_cache()
    if kind != "curves" and kind not in KINDS:
        hint = did_you_mean(kind, [*KINDS, "curves"])
        raise UserError(f"There is no analysis '{kind}'.{hint}")
    _refuse_flags(kind, values)
    if kind == "curves":
        folders = [*([values.workdir] if values.workdir else []), *rest]
        out = _picture_path(values, kind, folders[0] if len(folders) == 1 else None)
        outcome = curves(folders)
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
        return
    print(f"{kind}: {', '.join(files.values())}")
    for line in _lines(outcome.numbers):
        print(f"  {line}")


def _of_run(kind: str, values: flags.FlagValues, paths: list[str]) -> AnalysisResult:
    if paths and kind not in OF_IMAGES:
        raise UserError(f"{kind} uses a split of the data, and takes no images: '{paths[0]}'.")
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
    """Raises a `UserError` for a flag that the kind does not use."""
    attributions = ("grad_cam", "grad_cam_plus_plus", "integrated_gradients", "occlusion")
    users = {
        "layer": ("feature_maps", "grad_cam", "grad_cam_plus_plus", "receptive_field"),
        "target": attributions,
        "max_shift": ("shift_consistency",),
    }
    for name, kinds in users.items():
        if values[name].present and kind not in kinds:
            raise UserError(f"--{name} is for {', '.join(kinds)}, and not for {kind}.")


def _picture_path(values: flags.FlagValues, kind: str, folder: str | None) -> Path | str:
    """Returns the picture's path; an impossible one is an error before anything is computed."""
    if values.out or folder is None:
        out = located(values.out or f"{kind}.png")
        check_picture(out)
    elif is_url(folder):
        out = f"{located(folder)}/analysis/{kind}.png"
        check_output(out)
    else:
        out = Path(folder, "analysis", f"{kind}.png")
        if Workdir(folder).has_run:
            check_output_folder(out.parent)
    if values.arrays and not values.arrays.endswith(".npz"):
        raise UserError(f"arrays={values.arrays}: its ending must be .npz.")
    if values.arrays:
        check_output(values.arrays, name="arrays")
    return out


def _write(picture: Any, out: Path | str) -> None:
    with output_file(out) as temporary:
        if isinstance(picture, np.ndarray):
            Image.fromarray(picture).save(temporary)
        else:
            picture.savefig(temporary)


def _write_arrays(path: str, arrays: dict[str, np.ndarray]) -> None:
    # In an archive, a name with a slash is a file in a folder.
    with output_file(path, name="arrays") as temporary:
        np.savez_compressed(temporary, **{name.replace("/", "_"): x for name, x in arrays.items()})


def _lines(numbers: dict[str, Any]) -> list[str]:
    """Formats numbers for the terminal, one per line."""
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
