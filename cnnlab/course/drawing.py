"""Makes the course's figures: one by one or all of them, into one folder."""

import io
import json
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.figure import Figure
from PIL import Image

from cnnlab.course.experiments import (
    augmentation_gain,
    checkerboard,
    depth,
    fine_tuning,
    hand_made_features,
    norms,
    shift_table,
    shifted_digit,
)
from cnnlab.course.figures import (
    architectures,
    augmentation,
    channels,
    convolution,
    normalization,
    padding,
    pooling,
    receptive_field,
    segmentation,
    stride,
    transposed_convolution,
)
from cnnlab.errors import UserError, did_you_mean
from cnnlab.report.style import figure_style

Numbers = dict[str, Any]


class Experiment(NamedTuple):
    """A figure whose numbers are measured first, by training networks.

    Attributes:
      measure: trains, and gives JSON values.
      draw: the figure of those values.
    """

    measure: Callable[[], Numbers]
    draw: Callable[[Numbers], Figure]


FIGURES: dict[str, Callable[[], Figure]] = {
    "cross_correlation": convolution.cross_correlation,
    "kernels": convolution.kernels,
    "padding": padding.padding,
    "padding_modes": padding.padding_modes,
    "utilisation": padding.utilisation,
    "stride": stride.stride,
    "output_sizes": stride.output_sizes,
    "channels": channels.channels,
    "one_by_one": channels.one_by_one,
    "pooling": pooling.pooling,
    "pooling_and_shifts": pooling.pooling_and_shifts,
    "receptive_field": receptive_field.receptive_field,
    **{name: partial(architectures.architecture, name) for name in architectures.NETWORKS},
    "norm_axes": normalization.norm_axes,
    "augmentation": augmentation.augmentation,
    "segmentation": segmentation.segmentation,
    "overlap": segmentation.overlap,
    "transposed_convolution": transposed_convolution.transposed_convolution,
    "bilinear": transposed_convolution.bilinear,
}
EXPERIMENTS = {
    module.__name__.rsplit(".", 1)[-1]: Experiment(module.measure, module.draw)
    for module in (
        shifted_digit,
        shift_table,
        hand_made_features,
        depth,
        norms,
        augmentation_gain,
        fine_tuning,
        checkerboard,
    )
}


def build(folder: str | Path, names: Sequence[str] = (), *, measure: bool = True) -> list[Path]:
    """Draws figures, and measures what they show.

    Args:
      folder: for `NAME.png` of each figure and, of an experiment, `NAME.json` with its numbers.
      names: of `FIGURES` and `EXPERIMENTS`; none means all.
      measure: run the experiments; otherwise they are drawn from the numbers in the folder.

    Returns:
      The pictures.

    Raises:
      UserError: an unknown name, or numbers that are not there.
    """
    check_names(names)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return [_build(folder, name, measure) for name in names or [*FIGURES, *EXPERIMENTS]]


def check_names(names: Sequence[str]) -> None:
    """Raises a `UserError` for a name that no figure has."""
    known = [*FIGURES, *EXPERIMENTS]
    for name in names:
        if name not in known:
            raise UserError(f"The course has no figure '{name}'.{did_you_mean(name, known)}")


def _build(folder: Path, name: str, measure: bool) -> Path:
    picture, numbers = folder / f"{name}.png", folder / f"{name}.json"
    if name in FIGURES:
        figure = FIGURES[name]()
    else:
        experiment = EXPERIMENTS[name]
        if measure:
            numbers.write_text(_as_json(experiment.measure()))
        elif not numbers.is_file():
            raise UserError(f"{numbers} is not there: '{name}' is to be measured first.")
        figure = experiment.draw(json.loads(numbers.read_text()))
    _save(figure, picture)
    return picture


def _as_json(numbers: Numbers) -> str:
    """Indented, but with each list of numbers on a line of its own: a third of the size."""
    text = json.dumps(numbers, indent=1) + "\n"
    return re.sub(r"\[[^][{}]*\]", lambda found: " ".join(found[0].split()), text)


def _save(figure: Figure, path: Path) -> None:
    """As a PNG of few colours, a third of the size."""
    with figure_style():
        figure.savefig(buffer := io.BytesIO(), format="png")
    image = Image.open(buffer).convert("RGB")
    image.quantize(160, dither=Image.Dither.NONE).save(path, format="PNG", optimize=True)
