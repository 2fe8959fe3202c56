"""Augmentations of a colour photograph."""

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from sklearn.datasets import load_sample_image

from cnnlab.data.augment import AugmentConfig, make_augment
from cnnlab.report.style import new_figure

_SIZE = 96
_DRAWS = 6
_KEY = 29  # mixes photographs that differ in each column
_CONFIGS = {
    "flip, rotate, shear": AugmentConfig(flip=True, rotate_degrees=40.0, shear_degrees=25.0),
    "color": AugmentConfig(brightness=0.4, contrast=0.4, saturation=0.6, hue=0.1),
    "random resized crop": AugmentConfig(random_resized_crop=True, crop_scale=(0.15, 0.7)),
    "cutout": AugmentConfig(cutout=40),
    "mixup": AugmentConfig(mixup_alpha=1.0),
    "CutMix": AugmentConfig(cutmix_alpha=1.0),
    "RandAugment": AugmentConfig(randaugment_num_layers=2, randaugment_magnitude=12.0),
}


def photographs() -> np.ndarray:
    """The two photographs of scikit-learn, their middle squares, uint8 [2, 96, 96, 3]."""
    squares = []
    for name in ("flower.jpg", "china.jpg"):
        image = Image.fromarray(load_sample_image(name))
        width, height = image.size
        left = (width - height) // 2
        square = image.crop((left, 0, left + height, height))
        squares.append(np.asarray(square.resize((_SIZE, _SIZE), Image.Resampling.LANCZOS)))
    return np.stack(squares)


def augmentation_photo() -> Figure:
    """A row for each kind of augmentation; the first column is the photograph itself."""
    pair = photographs()
    images = jnp.asarray(np.concatenate([pair] * (_DRAWS // 2)))
    labels = jnp.asarray([0, 1] * (_DRAWS // 2))
    batch = {"image": images, "label": labels, "mask": jnp.ones(_DRAWS)}
    with new_figure(7.4, 7.2) as figure:
        axes = figure.subplots(len(_CONFIGS), 1 + _DRAWS)
        for row, (name, config) in zip(axes, _CONFIGS.items(), strict=True):
            augment = make_augment(config, num_classes=2, mean=(0.0,) * 3, std=(1.0,) * 3)
            drawn = np.asarray(augment(jax.random.key(_KEY), batch)["image"])
            pictures = [pair[0] / 255.0, *drawn]
            for axis, pixels in zip(row, pictures, strict=True):
                axis.imshow(np.clip(pixels, 0, 1))
                axis.set(xticks=[], yticks=[])
                axis.grid(False)
                axis.spines[:].set_visible(False)
            row[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
    return figure
