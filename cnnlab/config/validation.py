"""Checks ranges and combinations of a config's values."""

import math
import re

from cnnlab.config.augment import check as check_augment
from cnnlab.config.schema import Config
from cnnlab.errors import UserError

_MOST_STEPS = 2**31 - 2
_MOST_PIXELS = 2**16  # of a side


def validate(config: Config) -> None:
    """Raises a `UserError` for the first impossible value or combination in `config`.

    Names of models, data sets and optimizers are checked by their registries when they are used.
    """
    positive = {
        "batch_size": config.batch_size,
        "epochs": config.epochs,
        "steps": config.steps,
        "log_every_steps": config.log_every_steps,
        "num_devices": config.num_devices,
        "steps_per_call": config.steps_per_call,
        "sharding.parameters": config.sharding.parameters,
        "sharding.height": config.sharding.height,
        "data.image_size": config.data.image_size,
        "data.train_examples_per_class": config.data.train_examples_per_class,
        "optimizer.learning_rate": config.optimizer.learning_rate,
        "optimizer.clip_norm": config.optimizer.clip_norm,
        "optimizer.accumulate_steps": config.optimizer.accumulate_steps,
        "schedule.power": config.schedule.power,
        "schedule.cycle_epochs": config.schedule.cycle_epochs,
        "finetune.backbone_rate": config.finetune.backbone_rate,
        "finetune.unfreeze_epochs": config.finetune.unfreeze_epochs,
        "evaluation.every_epochs": config.evaluation.every_epochs,
        "evaluation.batch_size": config.evaluation.batch_size,
        "evaluation.early_stopping_patience": config.evaluation.early_stopping_patience,
        "checkpoint.every_steps": config.checkpoint.every_steps,
        "checkpoint.keep": config.checkpoint.keep,
    }
    for path, value in positive.items():
        # Not "value <= 0": that lets NaN pass.
        if value is not None and not 0 < value < math.inf:
            raise UserError(f"{path}={value} must be greater than 0 and finite.")
        if isinstance(value, int) and value > _MOST_STEPS:
            raise UserError(f"{path}={value} must be at most {_MOST_STEPS}: counts are 32-bit.")
    not_negative = {
        "seed": config.seed,
        "optimizer.weight_decay": config.optimizer.weight_decay,
        "schedule.warmup_epochs": config.schedule.warmup_epochs,
        "schedule.end_factor": config.schedule.end_factor,
        "schedule.step_factor": config.schedule.step_factor,
        "data.num_workers": config.data.num_workers,
        "data.fold": config.data.fold,
        "evaluation.boundary_tolerance": config.evaluation.boundary_tolerance,
    }
    for path, value in not_negative.items():
        if not 0 <= value < math.inf:
            raise UserError(f"{path}={value} must not be negative, and must be finite.")
    below_one = {
        "data.validation_fraction": config.data.validation_fraction,
        "loss.label_smoothing": config.loss.label_smoothing,
        "optimizer.ema_decay": config.optimizer.ema_decay,
        "schedule.peak_fraction": config.schedule.peak_fraction,
    }
    for path, value in below_one.items():
        if value is not None and not 0 <= value < 1:
            raise UserError(f"{path}={value} must be at least 0 and below 1.")
    _check_limits(config)
    _check_splits(config)
    window = config.data.value_range
    if window is not None and not (len(window) == 2 and window[0] < window[1]):
        raise UserError(
            f"data.value_range={window} must be two numbers, the smaller first, e.g. (-160, 240)."
        )
    if config.data.normalize == "per_image" and (config.data.mean or config.data.std):
        raise UserError(
            "data.mean and data.std cannot be combined with data.normalize=per_image, which uses "
            "those of each image: leave them unset."
        )
    if config.data.crop_fraction is not None and not 0 < config.data.crop_fraction <= 1:
        raise UserError(
            f"data.crop_fraction={config.data.crop_fraction} must be above 0 and at most 1."
        )
    if config.task == "segmentation" and config.data.resize == "shortest":
        raise UserError(
            "data.resize=shortest cuts images, and with them what is to be found: for segmentation "
            "set data.resize to pad, squash or none."
        )
    if config.task == "segmentation" and config.data.crop_fraction not in (None, 1):
        raise UserError(
            f"data.crop_fraction={config.data.crop_fraction} cuts images, and segmentation is "
            "judged on whole ones: leave it unset."
        )
    check_augment(config.augment)
    _check_combinations(config)


def _check_limits(config: Config) -> None:
    """Checks that values fit JAX's 32-bit types, and rates of dropout."""
    if config.seed >= 2**32:
        raise UserError(f"seed={config.seed} must be below 2**32 = {2**32}.")
    if config.epochs is not None and config.epochs > _MOST_STEPS:
        raise UserError(f"epochs={config.epochs} must be at most {_MOST_STEPS}: steps are 32-bit.")
    side = config.data.image_size
    if side is not None and side > _MOST_PIXELS:
        raise UserError(f"data.image_size={side} must be at most {_MOST_PIXELS} pixels.")
    for option, value in config.model.options.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if option.endswith("dropout_rate") and number and not 0 <= value < 1:
            raise UserError(f"model.options.{option}={value} must be at least 0 and below 1.")


def _check_combinations(config: Config) -> None:
    if (config.epochs is None) == (config.steps is None):
        raise UserError(
            f"Set either epochs or steps, and the other to none: got epochs={config.epochs}, "
            f"steps={config.steps}."
        )
    parts = config.optimizer.accumulate_steps
    if config.batch_size % parts:
        raise UserError(
            f"batch_size={config.batch_size} cannot be divided into "
            f"optimizer.accumulate_steps={parts} equal parts."
        )
    optimizer = config.optimizer
    if optimizer.ema_decay is not None and optimizer.name.startswith("schedule_free"):
        raise UserError(
            f"optimizer.ema_decay={optimizer.ema_decay} cannot be combined with {optimizer.name}, "
            "which averages its weights itself: leave it unset."
        )
    schedule = config.schedule
    if schedule.name == "step" and not schedule.step_epochs:
        raise UserError("schedule.name=step needs schedule.step_epochs, e.g. (30, 60, 80).")
    if schedule.name == "one_cycle" and schedule.warmup_epochs:
        raise UserError(
            f"schedule.warmup_epochs={schedule.warmup_epochs} cannot be combined with one_cycle, "
            "which has its own warm-up: set schedule.peak_fraction instead."
        )
    if config.epochs is not None and schedule.warmup_epochs >= config.epochs:
        raise UserError(
            f"schedule.warmup_epochs={schedule.warmup_epochs} must be below epochs={config.epochs}."
        )
    if not 1 <= schedule.cycle_factor < math.inf:
        raise UserError(
            f"schedule.cycle_factor={schedule.cycle_factor} must be at least 1 and finite."
        )
    _check_finetune(config)
    _check_loss(config)
    judged = config.data.validation_fraction or config.data.folds
    if config.evaluation.early_stopping_patience and not judged:
        raise UserError(
            "evaluation.early_stopping_patience needs data to judge by: set "
            "data.validation_fraction above 0 (the test split must not decide when to stop)."
        )


def _check_splits(config: Config) -> None:
    folds, fold, group_by = config.data.folds, config.data.fold, config.data.group_by
    if folds is not None and folds < 2:
        raise UserError(f"data.folds={folds} must be at least 2.")
    if folds is None and fold:
        raise UserError(f"data.fold={fold} needs the number of folds: set data.folds.")
    if folds is not None and fold >= folds:
        raise UserError(f"data.fold={fold}: {folds} folds are numbered from 0 to {folds - 1}.")
    try:
        re.compile(group_by or "")
    except re.error as error:
        raise UserError(
            f"data.group_by={group_by} is neither a folder level, e.g. 1, nor a regular "
            f"expression: {error}."
        ) from error


def _check_loss(config: Config) -> None:
    # Names and values are checked by the task, which knows its losses.
    if config.task != "segmentation" and config.loss.binary:
        raise UserError(
            f"loss.binary={config.loss.binary} is for task=segmentation, and task={config.task}: "
            "leave it out."
        )
    if config.task != "classification" and config.data.sampling == "balanced":
        raise UserError(
            f"data.sampling=balanced needs one class for each image, and task={config.task}: set "
            "loss.class_weights=balanced instead, or data.sampling=uniform."
        )


def _check_finetune(config: Config) -> None:
    finetune = config.finetune
    if finetune.freeze_backbone and finetune.backbone_rate != 1.0:
        raise UserError(
            f"finetune.backbone_rate={finetune.backbone_rate} cannot be combined with "
            "finetune.freeze_backbone, which trains only the head: set one of them."
        )
    if finetune.freeze_backbone and finetune.unfreeze_epochs is not None:
        raise UserError(
            f"finetune.unfreeze_epochs={finetune.unfreeze_epochs} cannot be combined with "
            "finetune.freeze_backbone, which never unfreezes: set one of them."
        )
    if not 0 < finetune.layer_decay <= 1:
        raise UserError(
            f"finetune.layer_decay={finetune.layer_decay} must be above 0 and at most 1; 1 is off."
        )
    if finetune.freeze_backbone and finetune.layer_decay != 1.0:
        raise UserError(
            f"finetune.layer_decay={finetune.layer_decay} cannot be combined with "
            "finetune.freeze_backbone, which trains only the head: set one of them."
        )
    if (
        finetune.unfreeze_epochs is not None
        and config.epochs is not None
        and finetune.unfreeze_epochs >= config.epochs
    ):
        raise UserError(
            f"finetune.unfreeze_epochs={finetune.unfreeze_epochs} must be below "
            f"epochs={config.epochs}: the first part of the backbone would never train."
        )
