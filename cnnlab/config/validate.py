"""Checks a config for what types cannot say: ranges and combinations."""

from cnnlab.config.schema import Config
from cnnlab.data.augment.config import check as check_augment
from cnnlab.errors import UserError


def validate(config: Config) -> None:
    """Raises a `UserError` for the first impossible value or combination in `config`.

    Names of models, data sets and optimizers are checked by their registries, when they are used.
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
        "finetune.backbone_rate": config.finetune.backbone_rate,
        "finetune.unfreeze_epochs": config.finetune.unfreeze_epochs,
        "evaluation.every_epochs": config.evaluation.every_epochs,
        "evaluation.batch_size": config.evaluation.batch_size,
        "evaluation.early_stopping_patience": config.evaluation.early_stopping_patience,
        "checkpoint.every_steps": config.checkpoint.every_steps,
        "checkpoint.keep": config.checkpoint.keep,
    }
    for path, value in positive.items():
        if value is not None and value <= 0:
            raise UserError(f"{path}={value} must be greater than 0.")
    not_negative = {
        "seed": config.seed,
        "optimizer.weight_decay": config.optimizer.weight_decay,
        "schedule.warmup_epochs": config.schedule.warmup_epochs,
        "schedule.end_factor": config.schedule.end_factor,
        "schedule.step_factor": config.schedule.step_factor,
        "data.num_workers": config.data.num_workers,
        "evaluation.boundary_tolerance": config.evaluation.boundary_tolerance,
    }
    for path, value in not_negative.items():
        if value < 0:
            raise UserError(f"{path}={value} must not be negative.")
    below_one = {
        "data.validation_fraction": config.data.validation_fraction,
        "loss.label_smoothing": config.loss.label_smoothing,
        "optimizer.ema_decay": config.optimizer.ema_decay,
        "schedule.peak_fraction": config.schedule.peak_fraction,
    }
    for path, value in below_one.items():
        if value is not None and not 0 <= value < 1:
            raise UserError(f"{path}={value} must be at least 0 and below 1.")
    check_augment(config.augment)
    _check_combinations(config)


def _check_combinations(config: Config) -> None:
    if (config.epochs is None) == (config.steps is None):
        raise UserError(
            f"Set either epochs or steps, and the other to none: got epochs={config.epochs}, "
            f"steps={config.steps}."
        )
    parts = config.optimizer.accumulate_steps
    if config.batch_size % parts:
        raise UserError(
            f"batch_size={config.batch_size} cannot be cut into "
            f"optimizer.accumulate_steps={parts} equal parts."
        )
    schedule = config.schedule
    if schedule.name == "step" and not schedule.step_epochs:
        raise UserError("schedule.name=step needs schedule.step_epochs, e.g. (30, 60, 80).")
    if schedule.name == "one_cycle" and schedule.warmup_epochs:
        raise UserError(
            f"schedule.warmup_epochs={schedule.warmup_epochs} does not go with one_cycle, which "
            "warms up by itself; set schedule.peak_fraction instead."
        )
    if config.epochs is not None and schedule.warmup_epochs >= config.epochs:
        raise UserError(
            f"schedule.warmup_epochs={schedule.warmup_epochs} must be below epochs={config.epochs}."
        )
    _check_finetune(config)
    _check_loss(config)
    if config.evaluation.early_stopping_patience and not config.data.validation_fraction:
        raise UserError(
            "evaluation.early_stopping_patience needs data to judge by: set "
            "data.validation_fraction above 0 (the test split must not decide when to stop)."
        )


def _check_loss(config: Config) -> None:
    if config.task == "segmentation":
        return  # names and values are checked by the task, which knows its losses
    for name in ("terms", "options", "class_weights", "binary"):
        value = getattr(config.loss, name)
        if value:
            raise UserError(
                f"loss.{name}={value} is for task=segmentation, and task={config.task}: leave it "
                "out."
            )


def _check_finetune(config: Config) -> None:
    finetune = config.finetune
    if finetune.freeze_backbone and finetune.backbone_rate != 1.0:
        raise UserError(
            f"finetune.backbone_rate={finetune.backbone_rate} does not go with "
            "finetune.freeze_backbone, which trains the head alone: set one of them."
        )
    if finetune.freeze_backbone and finetune.unfreeze_epochs is not None:
        raise UserError(
            f"finetune.unfreeze_epochs={finetune.unfreeze_epochs} does not go with "
            "finetune.freeze_backbone, which never unfreezes: set one of them."
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
