"""The augmentation of a recipe as one function of (key, batch)."""

import dataclasses
import functools
import zlib
from collections.abc import Callable, Sequence
from typing import Protocol

import jax
import jax.numpy as jnp

from cnnlab.arrays import Batch, HParams
from cnnlab.config.augment import AugmentConfig, check
from cnnlab.config.options import check_options, keyword_options
from cnnlab.data.augment import color, geometric, mix
from cnnlab.data.augment.normalize import PixelScale, to_int
from cnnlab.data.augment.rand_augment import randaugment
from cnnlab.data.augment.trivial_augment import trivial_augment
from cnnlab.data.source import IGNORE
from cnnlab.errors import UserError, did_you_mean
from cnnlab.registry import AUGMENTATIONS
from cnnlab.tracing import is_on

_PREFIX = "augment."


class Augment(Protocol):
    """Augmentation of training batches."""

    def __call__(self, rng: jax.Array, batch: Batch, hparams: HParams | None = None) -> Batch:
        """Maps a batch of uint8 images to one of augmented, normalised float images."""


def make_augment(
    config: AugmentConfig,
    *,
    num_classes: int,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    value_range: tuple[float, float] | None = None,
    clip: bool = False,
) -> Augment:
    """Builds `augment(rng, batch, hparams)`, which maps pixels to augmented, normalised floats.

    It is pure and can be part of a compiled step. `hparams` has strengths by path, e.g.
    `augment.hue`, which replace those of the config and may be traced. Label maps move with their
    images. Mixup and cutmix add `target`, the mixed labels [batch, num_classes]; `label` is
    unchanged.

    Args:
      config: augmentations and their strengths.
      num_classes: number of classes, the width of `target`.
      mean: per-channel mean of pixels in [0, 1]; None for both uses those of each image.
      std: per-channel standard deviation, same length as `mean`.
      value_range: pixel values that are mapped to 0 and 1, as in `PixelScale`.
      clip: whether pixels beyond the range are clipped.

    Raises:
      UserError: a strength is outside of its range.
    """
    check(config)
    extra = _extra(config)
    pixel_scale = PixelScale(mean, std, value_range, clip)

    def move(
        config: AugmentConfig, rng: jax.Array, x: jax.Array, *, labels: bool = False
    ) -> jax.Array:
        """Geometric operations; label maps [batch, height, width, 1] get the images' draws."""
        # One key for each place, whether it is used or not: switching one augmentation on leaves
        # the draws of the others as they were.
        keys = jax.random.split(rng, 8)
        how = {"nearest": True} if labels else {}
        if config.pad_crop:
            fill = IGNORE if labels else 0.0
            x = geometric.pad_crop(keys[0], x, config.pad_crop, config.pad_mode, fill=fill)
        if config.random_resized_crop:
            x = geometric.random_resized_crop(
                keys[0], x, config.crop_scale, config.crop_ratio, **how
            )
        if config.flip:
            x = geometric.flip(keys[1], x)
        if config.flip_vertical:
            x = geometric.flip(keys[2], x, vertical=True)
        affine = ("rotate_degrees", "translate", "scale", "shear_degrees")
        strengths = {name: getattr(config, name) for name in affine}
        if any(map(is_on, strengths.values())):
            x = geometric.random_affine(keys[3], x, **strengths, **how)
        if is_on(config.elastic_alpha):
            # A key of its own: the eight have their places already.
            key = jax.random.fold_in(rng, 8)
            x = geometric.elastic(key, x, config.elastic_alpha, config.elastic_sigma, **how)
        return x

    built = config

    def augment(rng: jax.Array, batch: Batch, hparams: HParams | None = None) -> Batch:
        strengths = {
            path.removeprefix(_PREFIX): value
            for path, value in (hparams or {}).items()
            if path.startswith(_PREFIX)
        }
        config = dataclasses.replace(built, **strengths)
        keys = jax.random.split(rng, 8)
        label = to_int(batch["label"])
        maps = label.ndim > 2
        if maps:
            _check_maps(config)
            label = move(config, rng, label[..., None].astype(jnp.float32), labels=True)
            label = to_int(label[..., 0])
        x = move(config, rng, pixel_scale.to_float(batch["image"]))
        jitter = (config.brightness, config.contrast, config.saturation, config.hue)
        if any(map(is_on, jitter)):
            x = color.color_jitter(
                keys[4],
                x,
                brightness_strength=config.brightness,
                contrast_strength=config.contrast,
                saturation_strength=config.saturation,
                hue_strength=config.hue,
            )
        if config.randaugment_num_layers:
            x = randaugment(
                keys[5],
                x,
                num_layers=config.randaugment_num_layers,
                magnitude=config.randaugment_magnitude,
            )
        if config.trivial_augment:
            x = trivial_augment(jax.random.fold_in(rng, 9), x)
        for name, function in extra.items():
            # A key of its name's, whatever else is switched on.
            x = function(jax.random.fold_in(rng, zlib.crc32(name.encode())), x)
        x = pixel_scale.normalize(x)
        if is_on(config.cutout):
            x = mix.cutout(keys[6], x, config.cutout)
        if is_on(config.random_erasing):
            x = mix.random_erasing(
                jax.random.fold_in(rng, 10),
                x,
                config.random_erasing,
                config.erasing_scale,
                config.erasing_ratio,
                fill=config.erasing_fill,
            )
        batch = {**batch, "image": x, "label": label}
        if is_on(config.mixup_alpha) or is_on(config.cutmix_alpha):
            multi_hot = label.ndim > 1
            target = label.astype(x.dtype) if multi_hot else jax.nn.one_hot(label, num_classes)
            batch |= _mix(config, keys[7], x, target)
        return batch

    return augment


def _extra(config: AugmentConfig) -> dict[str, Callable[[jax.Array, jax.Array], jax.Array]]:
    """The registered augmentations with their options."""
    functions = {}
    for name, options in config.extra.items():
        function = AUGMENTATIONS.get(name)
        known = keyword_options(function)
        for option in options:
            if option not in known:
                raise UserError(
                    f"The augmentation '{name}' has no option '{option}'."
                    + did_you_mean(option, known)
                )
        check_options(f"augment.extra.{name}", options, known)
        functions[name] = functools.partial(function, **options)
    return functions


def _check_maps(config: AugmentConfig) -> None:
    """Raises a `UserError` for augmentations that do not support label maps."""
    for name in (
        "randaugment_num_layers",
        "trivial_augment",
        "random_erasing",
        "mixup_alpha",
        "cutmix_alpha",
    ):
        value = getattr(config, name)
        if is_on(value):
            raise UserError(
                f"augment.{name}={value} is for classification and would part images from their "
                "label maps: leave it off, and set e.g. augment.elastic_alpha, rotate_degrees or "
                "brightness instead."
            )


def _mix(config: AugmentConfig, rng: jax.Array, x: jax.Array, target: jax.Array) -> Batch:
    """`image` and `target` of a batch after one of the enabled kinds of mixing."""
    ways = [
        (function, alpha)
        for function, alpha in ((mix.mixup, config.mixup_alpha), (mix.cutmix, config.cutmix_alpha))
        if is_on(alpha)
    ]
    choice_key, key = jax.random.split(rng)
    choice = jax.random.randint(choice_key, (), 0, len(ways))
    branches = [lambda f=function, a=alpha: f(key, x, target, a) for function, alpha in ways]
    image, target = jax.lax.switch(choice, branches)
    return {"image": image, "target": target}
