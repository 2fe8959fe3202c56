"""Exports a trained network as a program that needs neither cnnlab nor flax: StableHLO or ONNX.

The program maps uint8 images of the run's size to probabilities; it contains the normalisation and
the weights.
"""

import contextlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from cnnlab.errors import UserError
from cnnlab.inference.run import TrainedRun
from cnnlab.nn.cpu_kernels.switch import without_cpu_kernels
from cnnlab.storage.output_file import check_output, move_beside, temporary_folder

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")

# Relative to the largest probability: what float32 loses when another library adds up the products.
_TOLERANCE = 1e-4


def export_stablehlo(
    run: TrainedRun, *, batch_size: int | None = None, platforms: Sequence[str] = PLATFORMS
) -> export.Exported:
    """Exports the network for the given platforms.

    >>> Path("lenet.stablehlo").write_bytes(export_stablehlo(run).serialize())
    >>> program = jax.export.deserialize(bytearray(Path("lenet.stablehlo").read_bytes()))
    >>> program.call(images)  # [batch, height, width, channels] to probabilities

    Args:
      run: a run from `load_run`.
      batch_size: batch size of every call; None leaves it open.
      platforms: platforms that the program can run on, e.g. `cpu`, `cuda`, `tpu`.

    Raises:
      UserError: the network cannot be traced with an open batch size.
    """
    batch = batch_size or export.symbolic_shape("batch")[0]
    images = jax.ShapeDtypeStruct((batch, *run.info.image_shape), run.info.dtype)
    with without_cpu_kernels(), _open_batch_in_errors(run, batch_size):
        return export.export(jax.jit(_program(run)), platforms=platforms)(images)


def write_onnx(run: TrainedRun, path: str | Path, *, batch_size: int | None = None) -> float:
    """Writes an ONNX file, runs it, and compares it with the network.

    Args:
      run: a run from `load_run`.
      path: file to write; weights above ONNX's limit of 2 GB are written beside it.
      batch_size: batch size of every call; None leaves it open.

    Returns:
      The largest absolute difference between probabilities of the file and the network.

    Raises:
      UserError: jax2onnx is not installed or cannot convert the network, or the file's results
        differ from the network's; the file is then removed.
    """
    try:
        import onnxruntime
        from jax2onnx import to_onnx
    except ImportError as error:
        raise UserError(
            f"format=onnx needs {error.name}: pip install 'cnnlab[onnx]' and then "
            "pip install --no-deps 'jax2onnx>=0.17'; with its dependencies, pip would replace "
            "Orbax by an older version."
        ) from error
    path = check_output(path)
    shape = (batch_size or "batch", *run.info.image_shape)
    name = run.config.model.name
    with temporary_folder(path) as folder:
        # The file names the one that its weights may lie in, so it keeps its own name there.
        file = folder / PurePosixPath(path).name
        try:
            with without_cpu_kernels(), _quiet("onnx_ir"):
                to_onnx(
                    _program(run),
                    [jax.ShapeDtypeStruct(shape, jnp.dtype(run.info.dtype))],
                    return_mode="file",
                    output_path=str(file),
                )
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 3  # errors
            session = onnxruntime.InferenceSession(str(file), options)
            draws = np.random.default_rng(0).random((batch_size or 2, *run.info.image_shape))
            low, high = run.info.value_range
            images = (low + draws * (high - low)).astype(run.info.dtype)
            (found,) = session.run(None, {session.get_inputs()[0].name: images})
        except Exception as error:  # whatever two other libraries raise
            why = str(error).strip().splitlines()[0][:200]
            raise UserError(
                f"jax2onnx cannot convert {name}: {why} Use format=stablehlo or safetensors."
            ) from error
        expected = run.probabilities(images)
        difference = float(np.abs(found - expected).max())
        if not difference < _TOLERANCE:
            raise UserError(
                f"The ONNX program of {name} differs from it by {difference:.1e} in a "
                "probability; nothing was written. Use format=stablehlo or safetensors."
            )
        for part in file.parent.iterdir():
            move_beside(part, path, part.name)
    return difference


def _program(run: TrainedRun) -> Callable[[jax.Array], jax.Array]:
    predict, variables = run.experiment.predict(), run.variables
    return lambda images: predict(variables, images)


@contextlib.contextmanager
def _open_batch_in_errors(run: TrainedRun, batch_size: int | None):
    try:
        yield
    except jax.core.InconclusiveDimensionOperation as error:
        if batch_size is not None:
            raise
        raise UserError(
            f"{run.config.model.name} cannot be traced for every batch size: set batch_size."
        ) from error


@contextlib.contextmanager
def _quiet(name: str):
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
