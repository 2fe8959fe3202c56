"""Features of a whole split, written to one `.npz` file without holding them in memory."""

import shutil
import tempfile
import zipfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from cnnlab.data import Source, eval_batches
from cnnlab.errors import UserError
from cnnlab.models.features import EMBEDDING, extract, map_names
from cnnlab.train.setup import Setup
from cnnlab.train.state import PyTree


def write_features(
    path: str | Path,
    setup: Setup,
    variables: PyTree,
    source: Source,
    *,
    maps: bool = False,
    paths: Sequence[str] | None = None,
) -> dict[str, tuple[int, ...]]:
    """Writes the features of every example of a source, in its order.

    The file holds `embedding` [examples, c]; with `maps`, every map [examples, height, width, c] by
    its name; `map_names` and `strides` of the network's maps; `class_names`; and `label` [examples]
    or `path` [examples]. Features are float32. `np.load` reads one array at a time. The file
    appears whole or not at all.

    Args:
      path: of the file.
      setup: network, normalisation and batch size.
      variables: of the network.
      source: of examples.
      maps: write the maps too, and not only the embedding.
      paths: of the images, to be written instead of labels that the source does not know.

    Returns:
      Shapes of the arrays of features.

    Raises:
      UserError: a path that cannot be written to.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise UserError(f"--out={path}: there is no folder '{path.parent}'.")
    if path.is_dir():
        raise UserError(f"--out={path} is a folder, and should be a file.")
    strides = setup.model.backbone.strides
    named = [EMBEDDING, *(map_names(strides) if maps else ())]
    call = jax.jit(partial(_extract, setup, named))
    batch_size = setup.config.evaluation.batch_size or setup.config.batch_size
    # Arrays grow beside each other, and a zip file holds one after the other: first as files.
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
        arrays: dict[str, np.ndarray] = {}
        labels, done = [], 0
        for batch in eval_batches(source, batch_size=batch_size):
            count = int(batch["mask"].sum())
            labels.append(batch["label"][:count])
            for name, values in jax.device_get(call(variables, batch["image"])).items():
                if name not in arrays:
                    arrays[name] = np.lib.format.open_memmap(
                        Path(folder) / f"{name}.npy",
                        "w+",
                        np.float32,
                        (len(source), *values.shape[1:]),
                    )
                arrays[name][done : done + count] = values[:count]
            done += count
        shapes = {name: arrays[name].shape for name in named}
        small = {
            "map_names": np.array(map_names(strides)),
            "strides": np.array(strides, np.int32),
            "class_names": np.array(setup.info.class_names),
        }
        if paths is None:
            small["label"] = np.concatenate(labels)
        else:
            small["path"] = np.array(paths)
        for name, values in small.items():
            np.save(Path(folder) / f"{name}.npy", values)
        for values in arrays.values():
            values.flush()
        whole = Path(folder) / "whole"
        with zipfile.ZipFile(whole, "w", allowZip64=True) as archive:
            for name in [*named, *small]:
                archive.write(Path(folder) / f"{name}.npy", f"{name}.npy")
        shutil.move(whole, path)
    return shapes


def _extract(
    setup: Setup, names: list[str], variables: PyTree, images: jax.Array
) -> dict[str, Any]:
    """Those features of uint8 images that are asked for; XLA leaves the others out."""
    normalised = setup.normalize()({"image": images})["image"]
    features = extract(setup.model, variables, normalised)
    return {name: features[name] for name in names}
