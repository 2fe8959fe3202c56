"""Builds the objects of a run from its config: network, task, augmentation, optimizer."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnnlab.arrays import Batch, HParams, PyTree
from cnnlab.config import Config, check_options, validate
from cnnlab.config.objects import check_objects
from cnnlab.data import DatasetInfo
from cnnlab.data.augment import make_augment, make_normalize
from cnnlab.errors import UserError
from cnnlab.models import as_network, create_model, list_models, model_options, model_task
from cnnlab.models.network import check_plain
from cnnlab.nn.dropout import DropoutRate
from cnnlab.storage.memory import check_fits
from cnnlab.tasks import Task
from cnnlab.tasks.build import checked_metric, make_task
from cnnlab.train.hparams import hparams_of
from cnnlab.train.network_options import network_options
from cnnlab.train.optim.finetune import BACKBONE, make_finetune_optimizer
from cnnlab.train.optim.run_length import RunLength
from cnnlab.train.optim.schedule import Schedule, make_schedule, schedule_notes
from cnnlab.train.pretrained_images import expected_images
from cnnlab.train.remat import rematerialised
from cnnlab.train.run_data import check_batches
from cnnlab.train.state import Optimizer, TrainState, compile_init, init_state
from cnnlab.train.step import Apply, TrainStep, make_eval_step, make_train_step, zero_sums


def pixel_scale(info: DatasetInfo, normalize: str) -> dict[str, Any]:
    """Returns how pixels are normalised, as arguments of `make_augment` and `make_normalize`."""
    per_image = normalize == "per_image"
    plain = info.dtype == "uint8" and not info.clip
    return {
        "mean": None if per_image else info.mean,
        "std": None if per_image else info.std,
        "value_range": None if plain else info.value_range,
        "clip": info.clip,
    }


@dataclasses.dataclass(frozen=True)
class Experiment:
    """The objects of a run. They hold no arrays and touch no files.

    Attributes:
      config: validated config.
      info: description of the data set, with the statistics that images are normalised with.
      hparams: hyper-parameters of the config, as Python scalars.
      model: maps normalised images to logits.
      task: loss, metric sums and metrics.
      metric: name of the metric that picks the best checkpoint.
      length: length of the run, in steps.
      eval_steps: steps between evaluations.
      save_steps: steps between checkpoints; None saves with each evaluation.
      schedule: learning rate as a function of step and hyper-parameters.
      tx: optimizer as a function of hyper-parameters, or an optax transformation.
      augment: `augment(key, batch)` or `augment(key, batch, hparams)`.
      notes: sentences about parts of the config that will have no effect.
    """

    config: Config
    info: DatasetInfo
    hparams: HParams
    model: nn.Module
    task: Task
    metric: str
    length: RunLength
    eval_steps: int
    save_steps: int | None
    schedule: Schedule
    tx: Optimizer
    augment: Callable[..., Batch]
    notes: tuple[str, ...]

    @property
    def total_steps(self) -> int:
        """Number of updates of the whole run."""
        return self.length.total

    @property
    def model_options(self) -> dict[str, Any]:
        """Options of the network: the config's, and those that its pretrained weights require."""
        return network_options(self.config)

    def create_state(self) -> TrainState:
        """Returns the state before the first update, with new weights (not pretrained ones)."""
        return compile_init(self.init_state)(jnp.uint32(self.config.seed), self.hparams)

    def abstract_state(self) -> TrainState:
        """Returns shapes and dtypes of the state; raises a `UserError` for unsuitable images."""
        state = jax.eval_shape(lambda: self.init_state(self.config.seed))
        if jax.default_backend() == "cpu" and jax.process_count() == 1:
            sizes = (math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
            check_fits(sum(sizes), "model: the state of its training")
        return state

    def init_state(self, seed: jax.Array | int, hparams: HParams | None = None) -> TrainState:
        """Computes the state before the first update, with new weights; a pure function."""
        return init_state(
            self.model,
            self.tx,
            seed,
            image_shape=self.info.image_shape,
            ema=self.config.optimizer.ema_decay is not None,
            hparams=hparams,
        )

    def train_step(
        self, axis_name: str | None = None, *, around: Callable[[Apply], Apply] | None = None
    ) -> TrainStep:
        """Returns the step of `make_train_step`; `around` wraps the application of the network."""
        apply = rematerialised(self.model.apply) if self.config.model.remat else self.model.apply
        return make_train_step(
            self.model,
            self.task,
            self.tx,
            augment=self.augment,
            accumulate_steps=self.config.optimizer.accumulate_steps,
            ema_decay=self.config.optimizer.ema_decay,
            axis_name=axis_name,
            frozen=(BACKBONE,) if self.config.finetune.freeze_backbone else (),
            apply=around(apply) if around else apply,
        )

    def eval_step(
        self, *, around: Callable[[Apply], Apply] | None = None
    ) -> Callable[[PyTree, Any], Any]:
        """Returns the step of `make_eval_step`; `around` wraps the application of the network."""
        apply = around(self.model.apply) if around else None
        return make_eval_step(self.model, self.task, self.normalize(), apply=apply)

    def predict(self) -> Callable[[PyTree, jax.Array], jax.Array]:
        """Returns `predict(variables, images) -> probabilities`, per image or pixel."""
        normalize = self.normalize()

        def predict(variables: PyTree, images: jax.Array) -> jax.Array:
            batch = normalize({"image": images})
            logits = self.model.apply(variables, batch["image"], train=False)
            return self.task.probabilities(logits)

        return predict

    def normalize(self) -> Callable[[Any], Any]:
        """Maps a batch of the data set's images to normalised float images."""
        return make_normalize(**pixel_scale(self.info, self.config.data.normalize))

    def abstract_batch(self) -> dict[str, jax.ShapeDtypeStruct]:
        """Returns shapes and dtypes of a training batch."""
        size, image_shape = self.config.batch_size, self.info.image_shape
        label = jax.ShapeDtypeStruct((size,), jnp.int32)
        if self.config.task == "multilabel":
            label = jax.ShapeDtypeStruct((size, self.info.num_classes), jnp.int32)
        if self.config.task == "segmentation":
            label = jax.ShapeDtypeStruct((size, *image_shape[:2]), jnp.uint8)
        return {
            "image": jax.ShapeDtypeStruct((size, *image_shape), self.info.dtype),
            "label": label,
            "mask": jax.ShapeDtypeStruct((size,), jnp.float32),
        }

    def zero_metrics(self) -> dict[str, jax.Array]:
        """Returns metric sums over zero steps."""
        state = self.abstract_state()
        return zero_sums(jax.eval_shape(self.train_step(), state, self.abstract_batch())[1])


def build_experiment(
    config: Config,
    info: DatasetInfo,
    *,
    model: nn.Module | None = None,
    task: Task | None = None,
    tx: Optimizer | None = None,
    augment: Callable[..., Batch] | None = None,
) -> Experiment:
    """Builds the objects of a run, once.

    Args:
      config: the experiment.
      info: description of its data set.
      model: network that replaces the one that `config.model` names;
        `model.apply(variables, images, train=...)` returns logits.
      task: replaces the losses and metrics of the config.
      tx: optax transformation that replaces the config's optimizer and schedule.
      augment: `augment(key, batch)` that replaces the config's augmentation. Maps uint8 images to
        normalised float images.

    Raises:
      UserError: an impossible value, name or combination in the config; images that are too
        small; or a missing object that the run was started with.
    """
    validate(config)
    check_objects(config, model=model, task=task, tx=tx, augment=augment)
    check_batches(info.image_shape, config.batch_size, config.evaluation.batch_size)
    info = _with_statistics(config, info)
    hparams, length = hparams_of(config), RunLength.of(config, info.num_examples["train"])
    task = task or make_task(config, info.num_classes, info.class_counts.get("train"))
    metric = checked_metric(config, task)
    schedule = make_schedule(config.schedule, length, config.optimizer.learning_rate)
    model = model or _make_model(config, task, hparams)
    _check_windows(model, info)
    check_plain(model, info.image_shape, task.num_logits)
    if tx is None:
        tx = make_finetune_optimizer(
            config.finetune,
            config.optimizer,
            schedule,
            length=length,
            model=model,
            image_shape=info.image_shape,
        )
    if augment is None:
        on_device = config.augment
        if info.crops_as_read:
            on_device = dataclasses.replace(on_device, random_resized_crop=False, pad_crop=0)
        scale = pixel_scale(info, config.data.normalize)
        augment = make_augment(on_device, num_classes=info.num_classes, **scale)
    return Experiment(
        config=config,
        info=info,
        hparams=hparams,
        model=model,
        task=task,
        metric=metric,
        length=length,
        eval_steps=length.steps(config.evaluation.every_epochs),
        save_steps=config.checkpoint.every_steps,
        schedule=schedule,
        tx=tx,
        augment=augment,
        notes=tuple(schedule_notes(config.schedule, length)),
    )


def _check_windows(model: nn.Module, info: DatasetInfo) -> None:
    """Refuses a network without padding where images are scored in windows."""
    if info.eval_size in (None, info.image_shape[:2]) or not getattr(model, "border", 0):
        return
    raise UserError(
        f"The images of {info.name} are larger than patches of {info.image_shape[0]}x"
        f"{info.image_shape[1]} and scored in windows, of which a network without padding predicts "
        "the middle alone: set data.resize=pad, or model.options.padding=same."
    )


def _make_model(config: Config, task: Task, hparams: HParams) -> nn.Module:
    """The network that a config names."""
    _check_task(config)
    check_options("model.options", config.model.options, model_options(config.model.name))
    options = network_options(config)
    if "model.options.dropout_rate" in hparams:
        options = options | {"dropout_rate": DropoutRate(options["dropout_rate"])}
    model = create_model(
        config.model.name, num_classes=task.num_logits, dtype=config.model.dtype, **options
    )
    if config.finetune.freeze_batch_stats:
        model = as_network(model, "finetune.freeze_batch_stats").clone(freeze_batch_stats=True)
    return model


def _check_task(config: Config) -> None:
    """Raises a `UserError` if the network is for another task."""
    task = model_task(config.model.name)
    if task == config.task or (task == "classification" and config.task == "multilabel"):
        return
    wanted = "segmentation" if config.task == "segmentation" else "classification"
    examples = ", ".join(list_models(task=wanted)[:4])
    raise UserError(
        f"model.name={config.model.name} is for {task}, and task={config.task}: set task={task}, "
        f"or choose a model such as {examples}."
    )


def _with_statistics(config: Config, info: DatasetInfo) -> DatasetInfo:
    """Adds the statistics for normalisation: from the config, the weights, or the data."""
    mean, std = config.data.mean, config.data.std
    channels = info.image_shape[-1]
    if mean is None and std is None:
        expected = expected_images(config.model.pretrained)
        known = expected.mean is not None and channels == len(expected.mean)
        if not known or info.dtype != "uint8" or info.clip:
            return info
        mean, std = expected.mean, expected.std
    if mean is None or std is None or {len(mean), len(std)} != {channels}:
        raise UserError(
            f"data.mean={mean} and data.std={std} must both have {channels} values, one a channel "
            f"of {info.name}, or both be none."
        )
    if min(std) <= 0:
        raise UserError(f"data.std={std} must be greater than 0.")
    return dataclasses.replace(info, mean=mean, std=std)
