"""A trained network as a program that needs neither this package nor flax: StableHLO and ONNX.

Either maps uint8 images of the run's size, as they come out of a file, to probabilities; the
normalisation and the weights are inside.
"""

import contextlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from cnnlab.errors import UserError
from cnnlab.nn.forms import plain_forms
from cnnlab.train.restore import TrainedRun

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")

# Relative to the largest probability: what float32 loses when another library adds up the products.
_TOLERANCE = 1e-4


def export_stablehlo(
    run: TrainedRun, *, batch_size: int | None = None, platforms: Sequence[str] = PLATFORMS
) -> export.Exported:
    """Traces the network for the platforms.

    >>> Path("lenet.stablehlo").write_bytes(export_stablehlo(run).serialize())
    >>> program = jax.export.deserialize(bytearray(Path("lenet.stablehlo").read_bytes()))
    >>> program.call(images)  # uint8 [batch, height, width, channels] to probabilities

    Args:
      run: from `load_run`.
      batch_size: of every call; None leaves it open.
      platforms: where it may run.

    Raises:
      UserError: the network cannot be traced with an open batch size.
    """
    batch = batch_size or export.symbolic_shape("batch")[0]
    images = jax.ShapeDtypeStruct((batch, *run.info.image_shape), jnp.uint8)
    with plain_forms(), _open_batch_in_errors(run, batch_size):
        return export.export(jax.jit(_program(run)), platforms=platforms)(images)


def write_onnx(run: TrainedRun, path: str | Path, *, batch_size: int | None = None) -> float:
    """Writes an ONNX file, runs it, and compares it with the network.

    Args:
      run: from `load_run`.
      path: of the file; weights beyond ONNX's limit of 2 GB lie beside it.
      batch_size: of every call; None leaves it open.

    Returns:
      The largest difference of a probability.

    Raises:
      UserError: jax2onnx is not installed, cannot convert the network, or what it has written
        computes something else; the file is then removed.
    """
    try:
        import onnxruntime
        from jax2onnx import to_onnx
    except ImportError as error:
        raise UserError(f"--format=onnx needs {error.name}: pip install 'cnnlab[onnx]'.") from error
    path = Path(path)
    _remove_onnx(path)
    shape = (batch_size or "batch", *run.info.image_shape)
    name = run.config.model.name
    try:
        with plain_forms(), _quiet("onnx_ir"):
            to_onnx(
                _program(run),
                [jax.ShapeDtypeStruct(shape, jnp.uint8)],
                return_mode="file",
                output_path=str(path),
            )
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors
        session = onnxruntime.InferenceSession(str(path), options)
        images = np.random.default_rng(0).integers(
            0, 256, (batch_size or 2, *run.info.image_shape), np.uint8
        )
        (found,) = session.run(None, {session.get_inputs()[0].name: images})
    except Exception as error:  # whatever two other libraries raise
        _remove_onnx(path)
        why = str(error).strip().splitlines()[0][:200]
        raise UserError(
            f"jax2onnx cannot convert {name}: {why} Use --format=stablehlo or safetensors."
        ) from error
    expected = run.probabilities(images)
    difference = float(np.abs(found - expected).max())
    if not difference < _TOLERANCE:
        _remove_onnx(path)
        raise UserError(
            f"What jax2onnx made of {name} differs from it by {difference:.1e} in a probability; "
            "nothing was written. Use --format=stablehlo or safetensors."
        )
    return difference


def _program(run: TrainedRun) -> Callable[[jax.Array], jax.Array]:
    predict, variables = run.setup.predict(), run.variables
    return lambda images: predict(variables, images)


@contextlib.contextmanager
def _open_batch_in_errors(run: TrainedRun, batch_size: int | None):
    try:
        yield
    except jax.core.InconclusiveDimensionOperation as error:
        if batch_size is not None:
            raise
        raise UserError(
            f"{run.config.model.name} cannot be traced for every batch size: set --batch_size."
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


def _remove_onnx(path: Path) -> None:
    """The file and the weights that may lie beside it, which the converter does not replace."""
    for part in (path, path.with_name(path.name + ".data")):
        part.unlink(missing_ok=True)
