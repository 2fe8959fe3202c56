"""The augmentation of a recipe as one function of (key, batch)."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from cnnlab.data.augment import color, geometric, mix
from cnnlab.data.augment.config import AugmentConfig, check
from cnnlab.data.augment.normalize import Batch, normalize_images, to_float, to_int
from cnnlab.data.augment.randaugment import randaugment
from cnnlab.data.source import IGNORE
from cnnlab.errors import UserError
from cnnlab.tracing import is_on

Augment = Callable[[jax.Array, Batch], Batch]


def make_augment(
    config: AugmentConfig, *, num_classes: int, mean: Sequence[float], std: Sequence[float]
) -> Augment:
    """Builds `augment(rng, batch) -> batch`: uint8 images in, augmented normalised floats out.

    Pure, so that it can be part of a compiled step; strengths may be traced. Label maps move with
    their images. Mixup and cutmix add `target`, the mixed labels [batch, num_classes]; `label`
    stays what it was.

    Args:
      config: see `AugmentConfig`.
      num_classes: width of `target`.
      mean: per channel, of pixels in [0, 1].
      std: likewise.

    Raises:
      UserError: a strength outside of its range.
    """
    check(config)
    affine = ("rotate_degrees", "translate", "scale", "shear_degrees")
    strengths = {name: getattr(config, name) for name in affine}
    jitter = (config.brightness, config.contrast, config.saturation, config.hue)

    def move(rng: jax.Array, x: jax.Array, *, labels: bool = False) -> jax.Array:
        """What moves pixels; label maps [batch, height, width, 1] get the images' draws."""
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
        if any(map(is_on, strengths.values())):
            x = geometric.random_affine(keys[3], x, **strengths, **how)
        if is_on(config.elastic_alpha):
            # A key of its own: the eight have their places already.
            key = jax.random.fold_in(rng, 8)
            x = geometric.elastic(key, x, config.elastic_alpha, config.elastic_sigma, **how)
        return x

    def augment(rng: jax.Array, batch: Batch) -> Batch:
        keys = jax.random.split(rng, 8)
        label = to_int(batch["label"])
        maps = label.ndim > 1
        if maps:
            _check_maps(config)
            label = move(rng, label[..., None].astype(jnp.float32), labels=True)
            label = to_int(label[..., 0])
        x = move(rng, to_float(batch["image"]))
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
        x = normalize_images(x, mean, std)
        if is_on(config.cutout):
            x = mix.cutout(keys[6], x, config.cutout)
        batch = {**batch, "image": x, "label": label}
        if is_on(config.mixup_alpha) or is_on(config.cutmix_alpha):
            batch |= _mix(config, keys[7], x, jax.nn.one_hot(label, num_classes))
        return batch

    return augment


def _check_maps(config: AugmentConfig) -> None:
    """Raises a `UserError` for what cannot take label maps along."""
    for name in ("randaugment_num_layers", "mixup_alpha", "cutmix_alpha"):
        value = getattr(config, name)
        if is_on(value):
            raise UserError(
                f"augment.{name}={value} is for classification and would part images from their "
                "label maps: set it to 0, and e.g. augment.elastic_alpha, rotate_degrees or "
                "brightness instead."
            )


def _mix(config: AugmentConfig, rng: jax.Array, x: jax.Array, target: jax.Array) -> Batch:
    """`image` and `target` of a batch that was mixed in one of the ways that are switched on."""
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
