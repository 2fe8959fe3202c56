"""Which augmentations a recipe uses, and how strong; everything is off by default."""

import dataclasses
from typing import Literal

from cnnlab.errors import UserError
from cnnlab.tracing import is_traced


@dataclasses.dataclass
class AugmentConfig:
    """Augmentation of training batches, applied in the order of the fields.

    For segmentation, what moves pixels moves labels with them, each to its nearest place, and what
    a crop adds to the image is ignored (or reflected with it); what changes colors, cutout
    included, leaves labels as they are.

    Attributes:
      pad_crop: pixels added on each side before a crop of the original size (He et al. 2015).
      pad_mode: what is added: `zero` or `reflect`.
      random_resized_crop: crop a random area and shape, resize it (Szegedy et al. 2015).
      crop_scale: smallest and largest area of that crop, as a share of the image.
      crop_ratio: smallest and largest width of that crop divided by its height.
      flip: mirror left and right, half of the images.
      flip_vertical: mirror top and bottom, half of the images.
      rotate_degrees: rotate by up to that angle, either way.
      translate: shift by up to that share of the image, either way, on both axes.
      scale: magnify or shrink by up to that share, e.g. 0.1 for factors from 0.9 to 1.1.
      shear_degrees: shear by up to that angle, either way.
      elastic_alpha: move pixels by a smooth random field of that standard deviation, in pixels
        (Simard et al. 2003).
      elastic_sigma: of the Gaussian that smooths that field, in pixels.
      brightness: factor from 1 - brightness to 1 + brightness.
      contrast: likewise, around the image's mean gray.
      saturation: likewise, around each pixel's gray; color images only.
      hue: turn of the color circle of up to that share, at most 0.5; color images only.
      randaugment_num_layers: random operations applied to each image (Cubuk et al. 2020).
      randaugment_magnitude: their strength, 0 to 30.
      cutout: side in pixels of a square set to the mean color (DeVries & Taylor 2017).
      mixup_alpha: of the Beta distribution of the mixing weight (Zhang et al. 2018).
      cutmix_alpha: of the Beta distribution of the pasted area (Yun et al. 2019); with mixup too,
        each batch uses one of them, with equal chance.
    """

    pad_crop: int = 0
    pad_mode: Literal["zero", "reflect"] = "zero"
    random_resized_crop: bool = False
    crop_scale: tuple[float, float] = (0.08, 1.0)
    crop_ratio: tuple[float, float] = (0.75, 4 / 3)
    flip: bool = False
    flip_vertical: bool = False
    rotate_degrees: float = 0.0
    translate: float = 0.0
    scale: float = 0.0
    shear_degrees: float = 0.0
    elastic_alpha: float = 0.0
    elastic_sigma: float = 8.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    randaugment_num_layers: int = 0
    randaugment_magnitude: float = 9.0
    cutout: int = 0
    mixup_alpha: float = 0.0
    cutmix_alpha: float = 0.0


_RANGES = {
    "pad_crop": (0, 512),
    "rotate_degrees": (0, 180),
    "translate": (0, 1),
    "scale": (0, 0.99),
    "shear_degrees": (0, 60),
    "elastic_alpha": (0, 512),
    "elastic_sigma": (0.1, 512),
    "brightness": (0, 1),
    "contrast": (0, 1),
    "saturation": (0, 1),
    "hue": (0, 0.5),
    "randaugment_num_layers": (0, 10),
    "randaugment_magnitude": (0, 30),
    "cutout": (0, 4096),
    "mixup_alpha": (0, 100),
    "cutmix_alpha": (0, 100),
}


def check(config: AugmentConfig) -> None:
    """Raises a `UserError` for the first value outside of its range; traced ones are let pass."""
    for name, (low, high) in _RANGES.items():
        value = getattr(config, name)
        if not is_traced(value) and not low <= value <= high:
            raise UserError(f"augment.{name}={value} must be from {low} to {high}.")
    for name, high in (("crop_scale", 1.0), ("crop_ratio", 100.0)):
        first, second = getattr(config, name)
        traced = is_traced(first) or is_traced(second)
        if not traced and not 0 < first <= second <= high:
            raise UserError(
                f"augment.{name}=({first}, {second}) must be two rising numbers above 0, at most "
                f"{high:g}."
            )
    if config.pad_mode not in ("zero", "reflect"):
        raise UserError(f"augment.pad_mode={config.pad_mode!r} must be 'zero' or 'reflect'.")
    if config.pad_crop and config.random_resized_crop:
        raise UserError("augment.pad_crop and augment.random_resized_crop exclude each other.")
