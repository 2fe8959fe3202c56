"""Augmentation as pure functions for the compiled step."""

from cnnlab.config.augment import AugmentConfig
from cnnlab.data.augment.color import color_jitter
from cnnlab.data.augment.geometric import flip, pad_crop, random_affine, random_resized_crop
from cnnlab.data.augment.mix import cutmix, cutout, mixup, random_erasing
from cnnlab.data.augment.normalize import make_normalize
from cnnlab.data.augment.pipeline import make_augment
from cnnlab.data.augment.rand_augment import randaugment

__all__ = [
    "AugmentConfig",
    "color_jitter",
    "cutmix",
    "cutout",
    "flip",
    "make_augment",
    "make_normalize",
    "mixup",
    "pad_crop",
    "randaugment",
    "random_affine",
    "random_erasing",
    "random_resized_crop",
]
