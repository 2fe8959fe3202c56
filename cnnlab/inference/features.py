"""Writes the features of a whole split to one `.npz` file without holding them in memory."""

import contextlib
import math
import zipfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import jax
import numpy as np

from cnnlab.arrays import PyTree
from cnnlab.data import Source, eval_batches
from cnnlab.models import as_network
from cnnlab.models.features import EMBEDDING, extract, map_names
from cnnlab.nn.cpu_kernels.compiler import compiler_options
from cnnlab.storage.output_file import check_output, check_space, output_file, temporary_folder
from cnnlab.train.experiment import Experiment


def write_features(
    path: str | Path,
    experiment: Experiment,
    variables: PyTree,
    source: Source,
    *,
    maps: bool = False,
    paths: Sequence[str] | None = None,
) -> dict[str, tuple[int, ...]]:
    """Writes the features of all examples of a source, in order.

    The file holds `embedding` [examples, c]; with `maps`, every map [examples, height, width, c] by
    its name; `map_names` and `strides` of the maps; `class_names`; and `label` [examples]
    or `path` [examples]. Features are float32. `np.load` reads one array at a time. The file
    is written atomically.

    Args:
      path: file to write, also in an object store.
      experiment: provides network, normalisation and batch size.
      variables: variables of the network.
      source: source of the examples.
      maps: whether to write the feature maps as well as the embedding.
      paths: paths of the images, written instead of labels if the source has none.

    Returns:
      The shapes of the arrays of features, by name.

    Raises:
      UserError: the path cannot be written to.
    """
    path = check_output(path)
    strides = as_network(experiment.model, "features").backbone.strides
    named = [EMBEDDING, *(map_names(strides) if maps else ())]
    call = jax.jit(partial(_extract, experiment, named), compiler_options=compiler_options())
    batch_size = experiment.config.evaluation.batch_size or experiment.config.batch_size
    # Arrays grow side by side, and a zip file holds one after the other: first as files.
    with (
        temporary_folder(path) as folder,
        output_file(path) as whole,
    ):
        with contextlib.ExitStack() as files:
            arrays: dict[str, BinaryIO] = {}
            labels, shapes = [], {}
            for batch in eval_batches(source, batch_size=batch_size):
                count = int(batch["mask"].sum())
                labels.append(batch["label"][:count])
                for name, values in jax.device_get(call(variables, batch["image"])).items():
                    if name not in arrays:
                        shapes[name] = (len(source), *values.shape[1:])
                        # Of all arrays twice, beside each other and in the archive.
                        check_space(path, sum(8 * math.prod(shape) for shape in shapes.values()))
                        arrays[name] = files.enter_context((folder / f"{name}.npy").open("wb"))
                        _write_header(arrays[name], shapes[name])
                    arrays[name].write(values[:count].astype(np.float32).tobytes())
        small = {
            "map_names": np.array(map_names(strides)),
            "strides": np.array(strides, np.int32),
            "class_names": np.array(experiment.info.class_names),
        }
        if paths is None:
            small["label"] = np.concatenate(labels)
        else:
            small["path"] = np.array(paths)
        for name, values in small.items():
            np.save(folder / f"{name}.npy", values)
        with zipfile.ZipFile(whole, "w", allowZip64=True) as archive:
            for name in [*named, *small]:
                archive.write(folder / f"{name}.npy", f"{name}.npy")
    return {name: shapes[name] for name in named}


def _write_header(file: BinaryIO, shape: tuple[int, ...]) -> None:
    """Writes the header of a `.npy` file of a float32 array."""
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def _extract(
    experiment: Experiment, names: list[str], variables: PyTree, images: jax.Array
) -> dict[str, Any]:
    """The named features of uint8 images; XLA does not compute the others."""
    normalised = experiment.normalize()({"image": images})["image"]
    features = extract(experiment.model, variables, normalised)
    return {name: features[name] for name in names}
