"""From a config to the pure functions of a run: network, task, schedule, optimizer, steps."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from cnnlab.config import Config, check_options, validate
from cnnlab.data import Dataset, DatasetInfo, load
from cnnlab.data.augment import make_augment, make_normalize
from cnnlab.errors import UserError, did_you_mean
from cnnlab.models import Network, create_model, list_models, model_options, model_task
from cnnlab.pretrained import Fit, image_statistics
from cnnlab.tasks import Task
from cnnlab.train.finetune import BACKBONE, make_finetune_optimizer
from cnnlab.train.make_task import DEFAULT_METRICS, make_task
from cnnlab.train.network_options import network_options
from cnnlab.train.numbers import with_numbers
from cnnlab.train.remat import rematerialised
from cnnlab.train.schedule import epochs_to_steps, make_schedule, total_steps
from cnnlab.train.state import PyTree, TrainState, create_state, init_state, start_from
from cnnlab.train.step import Apply, TrainStep, make_eval_step, make_train_step, zero_sums


def load_data(config: Config) -> Dataset:
    """The data set that a config names; raises `UserError` where it cannot be had."""
    return load(
        config.data.name,
        image_size=config.data.image_size,
        data_dir=config.data.data_dir,
        manual_dir=config.data.manual_dir,
        validation_fraction=config.data.validation_fraction,
        train_examples_per_class=config.data.train_examples_per_class,
        task=config.task,
    )


@dataclasses.dataclass(frozen=True)
class Setup:
    """The functions of a run; they hold no arrays and touch no files.

    Attributes:
      config: validated.
      info: what the run knows of its data.
      model: maps normalised images to logits.
      task: loss, metric sums, numbers.
      metric: the number of the task that picks the best checkpoint.
      total_steps: updates of the whole run.
      eval_steps: distance between evaluations.
      save_steps: distance between checkpoints; None saves with each evaluation.
      schedule: learning rate as a function of updates made.
      tx: the optimizer.
    """

    config: Config
    info: DatasetInfo
    model: Network
    task: Task
    metric: str
    total_steps: int
    eval_steps: int
    save_steps: int | None
    schedule: optax.Schedule
    tx: optax.GradientTransformation

    @property
    def model_options(self) -> dict[str, Any]:
        """Options of the network: the config's, and those that the weights it starts from need."""
        return network_options(self.config)

    def with_numbers(self, numbers: Mapping[str, Any]) -> "Setup":
        """The same run with other numbers at these paths of its config, which may be traced.

        They are not checked; see `cnnlab.train.numbers`.
        """
        return _build(with_numbers(self.config, numbers), self.info)

    def create_state(self) -> TrainState:
        """The state before the first update, with the weights of `model.pretrained` if it is set.

        Raises:
          UserError: those weights cannot be had or do not fit.
        """
        state = create_state(
            self.model,
            self.tx,
            image_shape=self.info.image_shape,
            seed=self.config.seed,
            ema=self.config.optimizer.ema_decay is not None,
        )
        found = self.read_pretrained()
        return state if found is None else start_from(state, found, self.tx)

    def read_pretrained(self) -> Fit | None:
        """What `model.pretrained` gives to this network; None where it is unset."""
        if not self.config.model.pretrained:
            return None
        # Here, because that module restores runs, which are made by this one.
        from cnnlab.train.initial import read_pretrained

        return read_pretrained(self.config, self.info, self.abstract_state())

    def abstract_state(self) -> TrainState:
        """Shapes and types of the state; raises a `UserError` for images that do not fit."""
        return jax.eval_shape(lambda: self.init_state(self.config.seed))

    def init_state(self, seed: jax.Array | int) -> TrainState:
        """See `init_state`; to be compiled."""
        return init_state(
            self.model,
            self.tx,
            seed,
            image_shape=self.info.image_shape,
            ema=self.config.optimizer.ema_decay is not None,
        )

    def train_step(
        self, axis_name: str | None = None, *, around: Callable[[Apply], Apply] | None = None
    ) -> TrainStep:
        """See `make_train_step`; `around` is put around the application of the network."""
        apply = rematerialised(self.model.apply) if self.config.model.remat else self.model.apply
        return make_train_step(
            self.model,
            self.task,
            self.tx,
            augment=make_augment(
                self.config.augment,
                num_classes=self.info.num_classes,
                mean=self.info.mean,
                std=self.info.std,
            ),
            accumulate_steps=self.config.optimizer.accumulate_steps,
            ema_decay=self.config.optimizer.ema_decay,
            axis_name=axis_name,
            frozen=(BACKBONE,) if self.config.finetune.freeze_backbone else (),
            apply=around(apply) if around else apply,
        )

    def eval_step(
        self, *, around: Callable[[Apply], Apply] | None = None
    ) -> Callable[[PyTree, Any], Any]:
        """See `make_eval_step` and `train_step`."""
        apply = around(self.model.apply) if around else None
        return make_eval_step(self.model, self.task, self.normalize(), apply=apply)

    def predict(self) -> Callable[[PyTree, jax.Array], jax.Array]:
        """Builds `predict(variables, uint8 images) -> probabilities`, of each image or pixel."""
        normalize = self.normalize()

        def predict(variables: PyTree, images: jax.Array) -> jax.Array:
            batch = normalize({"image": images})
            logits = self.model.apply(variables, batch["image"], train=False)
            return self.task.probabilities(logits)

        return predict

    def normalize(self) -> Callable[[Any], Any]:
        """Maps a batch of uint8 images to one of normalised float images."""
        return make_normalize(self.info.mean, self.info.std)

    def abstract_batch(self) -> dict[str, jax.ShapeDtypeStruct]:
        """Shapes and types of a training batch."""
        size, image_shape = self.config.batch_size, self.info.image_shape
        label = jax.ShapeDtypeStruct((size,), jnp.int32)
        if self.config.task == "segmentation":
            label = jax.ShapeDtypeStruct((size, *image_shape[:2]), jnp.uint8)
        return {
            "image": jax.ShapeDtypeStruct((size, *image_shape), jnp.uint8),
            "label": label,
            "mask": jax.ShapeDtypeStruct((size,), jnp.float32),
        }

    def zero_window(self) -> dict[str, jax.Array]:
        """Metric sums over no steps."""
        state = self.abstract_state()
        return zero_sums(jax.eval_shape(self.train_step(), state, self.abstract_batch())[1])


def make_setup(config: Config, info: DatasetInfo) -> Setup:
    """Builds the functions of a run.

    Raises:
      UserError: a value, name or combination in the config that cannot be; images too small.
    """
    validate(config)
    _check_task(config)
    check_options("model.options", config.model.options, model_options(config.model.name))
    return _build(config, _with_statistics(config, info))


def _build(config: Config, info: DatasetInfo) -> Setup:
    """What `make_setup` does, for a config whose numbers have been checked and may be traced."""
    task = make_task(config, info.num_classes)
    metric = config.evaluation.metric or DEFAULT_METRICS[config.task]
    if metric not in task.metrics:
        raise UserError(
            f"evaluation.metric='{metric}' is not a metric of {config.task}."
            + did_you_mean(metric, task.metrics)
        )
    num_train = info.num_examples["train"]
    schedule = make_schedule(config, num_train)
    model = create_model(
        config.model.name,
        num_classes=task.num_logits,
        dtype=config.model.dtype,
        **network_options(config),
    ).clone(freeze_batch_stats=config.finetune.freeze_batch_stats)
    return Setup(
        config=config,
        info=info,
        model=model,
        task=task,
        metric=metric,
        total_steps=total_steps(config, num_train),
        eval_steps=epochs_to_steps(config.evaluation.every_epochs, config, num_train),
        save_steps=config.checkpoint.every_steps,
        schedule=schedule,
        tx=make_finetune_optimizer(
            config,
            schedule,
            model=model,
            image_shape=info.image_shape,
            num_examples=num_train,
        ),
    )


def _check_task(config: Config) -> None:
    """Raises a `UserError` for a network that is for another task."""
    if model_task(config.model.name) != config.task:
        examples = ", ".join(list_models(task=config.task)[:4])
        raise UserError(
            f"model.name={config.model.name} is for {model_task(config.model.name)}, and "
            f"task={config.task}: set task={model_task(config.model.name)}, or choose a model such "
            f"as {examples}."
        )


def _with_statistics(config: Config, info: DatasetInfo) -> DatasetInfo:
    """What to normalise with: what the config says, the weights expect, or the data have."""
    mean, std = config.data.mean, config.data.std
    channels = info.image_shape[-1]
    if mean is None and std is None:
        expected = config.model.pretrained and image_statistics(config.model.pretrained)
        if not expected or channels != len(expected[0]):
            return info
        mean, std = expected
    if mean is None or std is None or {len(mean), len(std)} != {channels}:
        raise UserError(
            f"data.mean={mean} and data.std={std} must both have {channels} values, one a channel "
            f"of {info.name}, or both be none."
        )
    if min(std) <= 0:
        raise UserError(f"data.std={std} must be greater than 0.")
    return dataclasses.replace(info, mean=mean, std=std)
