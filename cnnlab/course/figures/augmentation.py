"""Augmentation: one digit, drawn many times."""

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from cnnlab.course.figures.digits import digit, show
from cnnlab.data.augment import AugmentConfig, make_augment
from cnnlab.report.style import new_figure

_CONFIGS = {
    "rotate": AugmentConfig(rotate_degrees=15.0),
    "translate": AugmentConfig(translate=0.1),
    "scale, shear": AugmentConfig(scale=0.15, shear_degrees=15.0),
    "all of them": AugmentConfig(rotate_degrees=15.0, translate=0.1, scale=0.1, shear_degrees=10.0),
}
_DRAWS = 6


def augmentation() -> Figure:
    """A digit, and what random maps make of it; the last row is `lenet_digits`'s recipe."""
    image = np.round(255 * digit(2)).astype(np.uint8)
    images = jnp.asarray(np.repeat(image[None, :, :, None], _DRAWS, axis=0))
    batch = {"image": images, "label": jnp.full(_DRAWS, 2), "mask": jnp.ones(_DRAWS)}
    with new_figure(6.4, 3.7) as figure:
        axes = figure.subplots(len(_CONFIGS), 1 + _DRAWS)
        for number, (row, (name, config)) in enumerate(zip(axes, _CONFIGS.items(), strict=True)):
            augment = make_augment(config, num_classes=10, mean=(0.0,), std=(1.0,))
            drawn = np.asarray(augment(jax.random.key(number), batch)["image"])[..., 0]
            show(row[0], image, "as it is" if number == len(_CONFIGS) - 1 else "")
            row[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
            for axis, pixels in zip(row[1:], drawn, strict=True):
                show(axis, pixels, limits=(0.0, 1.0))
    return figure
