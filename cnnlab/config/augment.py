"""Which augmentations a recipe uses, and their strength; all are off by default."""

import dataclasses
from typing import Any, Literal

from cnnlab.config.fields import Fields
from cnnlab.errors import UserError


@dataclasses.dataclass
class AugmentConfig(Fields):
    """Augmentation of training batches, applied in the order of the fields.

    For segmentation, geometric operations move labels with their pixels, by nearest neighbour;
    pixels that a crop adds are ignored (or reflected with the image). Operations on colors, cutout
    included, do not change labels.

    Attributes:
      pad_crop: pixels added on each side before a crop of the original size (He et al. 2015).
      pad_mode: contents of the added pixels: `zero` or `reflect`.
      random_resized_crop: crop a random area and shape, resize it (Szegedy et al. 2015); of whole
        files where they have other sizes than the network gets.
      crop_scale: smallest and largest area of that crop, as a share of the image.
      crop_ratio: smallest and largest width of that crop divided by its height.
      flip: mirror left and right, half of the images.
      flip_vertical: mirror top and bottom, half of the images.
      rotate_degrees: largest rotation in degrees, in either direction.
      translate: largest shift as a share of the image, in either direction, on both axes.
      scale: largest relative change of size, e.g. 0.1 for factors from 0.9 to 1.1.
      shear_degrees: largest shear in degrees, in either direction.
      elastic_alpha: standard deviation in pixels of a smooth random displacement of pixels
        (Simard et al. 2003).
      elastic_sigma: standard deviation in pixels of the Gaussian that smooths the displacement.
      brightness: pixels are multiplied by a factor from 1 - brightness to 1 + brightness.
      contrast: factor from 1 - contrast to 1 + contrast, around the image's mean gray.
      saturation: factor from 1 - saturation to 1 + saturation, around each pixel's gray; color
        images only.
      hue: largest shift of hue as a share of the color circle, at most 0.5; color images only.
      randaugment_num_layers: number of random operations per image (Cubuk et al. 2020).
      randaugment_magnitude: strength of these operations, 0 to 30.
      trivial_augment: one random operation of random strength for each image (Mueller & Hutter
        2021, the wide space); replaces RandAugment.
      cutout: side in pixels of a square set to the mean color (DeVries & Taylor 2017).
      random_erasing: probability that a rectangle of an image is erased (Zhong et al. 2020), 0 to
        1; timm's recipes use 0.25, torchvision's 0.1.
      erasing_scale: smallest and largest area of that rectangle, as a share of the image.
      erasing_ratio: smallest and largest height of that rectangle divided by its width.
      erasing_fill: contents of the rectangle: the `mean` color, or normal `noise` (timm's `pixel`).
      mixup_alpha: parameter of the Beta distribution of the mixing weight (Zhang et al. 2018).
      cutmix_alpha: parameter of the Beta distribution of the pasted area (Yun et al. 2019); with
        mixup as well, each batch uses one of them, with equal probability.
      extra: options of registered augmentations by name, applied in this order after the built-in
        ones and before cutout; `NAME={}` for one without options.
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
    trivial_augment: bool = False
    cutout: int = 0
    random_erasing: float = 0.0
    erasing_scale: tuple[float, float] = (0.02, 0.33)
    erasing_ratio: tuple[float, float] = (0.3, 3.3)
    erasing_fill: Literal["mean", "noise"] = "mean"
    mixup_alpha: float = 0.0
    cutmix_alpha: float = 0.0
    extra: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)


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
    "random_erasing": (0, 1),
    "mixup_alpha": (0, 100),
    "cutmix_alpha": (0, 100),
}


def check(config: AugmentConfig) -> None:
    """Raises a `UserError` for the first value outside of its range."""
    for name, (low, high) in _RANGES.items():
        value = getattr(config, name)
        if not low <= value <= high:
            raise UserError(f"augment.{name}={value} must be from {low} to {high}.")
    pairs = {"crop_scale": 1.0, "crop_ratio": 100.0, "erasing_scale": 1.0, "erasing_ratio": 100.0}
    for name, high in pairs.items():
        first, second = getattr(config, name)
        if not 0 < first <= second <= high:
            raise UserError(
                f"augment.{name}=({first}, {second}) must be two rising numbers above 0, at most "
                f"{high:g}."
            )
    if config.pad_mode not in ("zero", "reflect"):
        raise UserError(f"augment.pad_mode={config.pad_mode!r} must be 'zero' or 'reflect'.")
    if config.erasing_fill not in ("mean", "noise"):
        raise UserError(f"augment.erasing_fill={config.erasing_fill!r} must be 'mean' or 'noise'.")
    if config.trivial_augment and config.randaugment_num_layers:
        raise UserError(
            "augment.trivial_augment replaces augment.randaugment_num_layers: set one of them."
        )
    if config.pad_crop and config.random_resized_crop:
        raise UserError("augment.pad_crop and augment.random_resized_crop exclude each other.")
