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
    feature_maps,
    fine_tuning,
    gradient_check,
    hand_made_features,
    learned_filters,
    moving_averages,
    norm_motivations,
    norms,
    shift_table,
    shifted_digit,
    small_batches,
)
from cnnlab.course.figures import (
    augmentation,
    channels,
    convolution,
    digits_as_numbers,
    normalization,
    padding,
    photo,
    pooling,
    receptive_field,
    segmentation,
    stride,
    transposed_convolution,
)
from cnnlab.course.figures.networks import architectures, blocks, function_classes, stacks, unets
from cnnlab.errors import UserError, did_you_mean
from cnnlab.report.style import figure_style
from cnnlab.storage.output_file import check_output_folder, output_file

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
    "digit_as_numbers": digits_as_numbers.digit_as_numbers,
    "cross_correlation": convolution.cross_correlation,
    "kernels": convolution.kernels,
    "convolution_gradient": convolution.convolution_gradient,
    "padding": padding.padding,
    "padding_modes": padding.padding_modes,
    "utilisation": padding.utilisation,
    "stride": stride.stride,
    "output_sizes": stride.output_sizes,
    "channels": channels.channels,
    "output_channels": channels.output_channels,
    "one_by_one": channels.one_by_one,
    "pooling": pooling.pooling,
    "pooling_and_shifts": pooling.pooling_and_shifts,
    "receptive_pyramid": receptive_field.receptive_pyramid,
    "receptive_field": receptive_field.receptive_field,
    **{name: partial(architectures.architecture, name) for name in architectures.NETWORKS},
    "lenet_layers": stacks.lenet_layers,
    "old_days": digits_as_numbers.old_days,
    "alexnet_and_lenet": stacks.alexnet_and_lenet,
    "nin_block": blocks.nin_block,
    "inception_block": blocks.inception_block,
    "function_classes": function_classes.function_classes,
    "residual_block": blocks.residual_block,
    "dense_connections": blocks.dense_connections,
    "norm_axes": normalization.norm_axes,
    "layer_norm_observation": normalization.layer_norm_observation,
    "augmentation": augmentation.augmentation,
    "augmentation_photo": photo.augmentation_photo,
    "collections": stacks.collections,
    "segmentation": segmentation.segmentation,
    "overlap": segmentation.overlap,
    "transposed_convolution": transposed_convolution.transposed_convolution,
    "transposed_padding": transposed_convolution.transposed_padding,
    "bilinear": transposed_convolution.bilinear,
    "fcn_heads": stacks.fcn_heads,
    "unet_u": unets.unet_u,
    "unet_variations": unets.unet_variations,
}
EXPERIMENTS = {
    module.__name__.rsplit(".", 1)[-1]: Experiment(module.measure, module.draw)
    for module in (
        shifted_digit,
        gradient_check,
        shift_table,
        feature_maps,
        hand_made_features,
        depth,
        norm_motivations,
        moving_averages,
        norms,
        small_batches,
        augmentation_gain,
        fine_tuning,
        checkerboard,
        learned_filters,
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
    folder = check_output_folder(folder)
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
            measured = _as_json(experiment.measure())
            with output_file(numbers) as temporary:
                temporary.write_text(measured)
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
    with output_file(path) as temporary:
        image.quantize(160, dither=Image.Dither.NONE).save(temporary, format="PNG", optimize=True)
