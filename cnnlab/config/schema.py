"""The fields of an experiment, as nested dataclasses with their defaults.

Every field can be set in an experiment file and overridden on the command line by its path, e.g.
`--config.optimizer.learning_rate=0.05`. Durations carry their unit in the name. Numbers that follow
from others (total steps, the schedule's corners) are not fields: they are computed from the final
config, so that an override moves them all.
"""

import dataclasses
from typing import Any, Literal

from cnnlab.data.augment.config import AugmentConfig

__all__ = ["AugmentConfig", "Config"]


@dataclasses.dataclass
class DataConfig:
    """Where examples come from, and in which form.

    Attributes:
      name: `digits`, `folder:PATH` (with `train/CLASS/*.png`), or any image classification data set
        of TFDS; for segmentation `digit_scenes`, `folder:PATH` (with `images/` and `masks/`), or a
        set of TFDS that has masks, e.g. `oxford_iiit_pet`. `launch.py list datasets` names more.
      image_size: height and width in pixels to resize to; unset keeps the set's own size.
      data_dir: where TFDS data sets lie; unset means TFDS's default, `~/tensorflow_datasets`.
      manual_dir: archives that TFDS should take instead of downloading them.
      validation_fraction: share of the training split, in [0, 1), held out for validation when the
        set has no validation split of its own. With 0 the periodic evaluation reads the test split,
        and neither a best checkpoint nor early stopping is available.
      train_examples_per_class: train on only so many examples of each class, the same for every
        seed, chosen after the validation split is held out; unset trains on all.
      mean: per channel, subtracted from pixels in [0, 1]. Unset takes what `model.pretrained`
        expects, where that is known and images have three channels, else the training split's own.
      std: likewise, what is divided by afterwards; set both or neither.
      num_workers: processes that decode images of sets too large to be held in memory; 0 takes
        threads.
    """

    name: str = "digits"
    image_size: int | None = None
    data_dir: str | None = None
    manual_dir: str | None = None
    validation_fraction: float = 0.1
    train_examples_per_class: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    num_workers: int = 0


@dataclasses.dataclass
class ModelConfig:
    """Which network.

    Attributes:
      name: a name that `launch.py list models` prints.
      dtype: type of computation, `float32` or `bfloat16`; parameters stay float32.
      remat: keep only what enters each block of the network, and compute the rest again for the
        gradients: less memory, for about a third more computation. For accelerators.
      pretrained: weights to start from: `timm/NAME[.TAG]`, `torchvision/NAME[.WEIGHTS]`,
        `smp/OWNER/REPOSITORY`, a file (.safetensors, .pth, .pt) or the folder of a run; see
        docs/pretrained.md. A resumed run does not read them again.
      options: options of the architecture, e.g. `stem`, `norm`, `dropout_rate`, set by
        `--config.model.options.stem=cifar`.
    """

    name: str = "lenet"
    dtype: Literal["float32", "bfloat16"] = "float32"
    remat: bool = False
    pretrained: str | None = None
    options: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class LossConfig:
    """The training objective.

    Attributes:
      label_smoothing: share of the target spread evenly over the classes, in [0, 1).
      terms: for segmentation, the losses and the weight of each in their sum, e.g.
        `--config.loss.terms.cross_entropy=1 --config.loss.terms.dice=0.5`: `boundary`,
        `cross_entropy`, `dice`, `focal`, `jaccard`, `lovasz`, `tversky`. Without any, it is
        `cross_entropy`.
      options: for segmentation, options of the losses by their names, e.g.
        `--config.loss.options.focal.gamma=3`.
      class_weights: for segmentation, how much each class counts, in the order of the classes;
        unset counts all alike.
      binary: for segmentation of two classes, one logit with a sigmoid in place of two.
    """

    label_smoothing: float = 0.0
    terms: dict[str, float] = dataclasses.field(default_factory=dict)
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    class_weights: tuple[float, ...] | None = None
    binary: bool = False


@dataclasses.dataclass
class OptimizerConfig:
    """How parameters are updated.

    Attributes:
      name: a name that `launch.py list optimizers` prints; they are optax's.
      learning_rate: the schedule's peak.
      weight_decay: decoupled where the optimizer has it (adamw, lamb, lars, muon, ...), else added
        to the gradient (L2).
      decay_norms_and_biases: also decay parameters with fewer than two axes.
      clip_norm: gradients are scaled down to this global norm; unset does not clip.
      accumulate_steps: a batch is computed in that many equal parts, one after the other; memory
        shrinks, and the update stays that of the whole batch (batch norm sees the parts).
      ema_decay: evaluate an exponential moving average of the weights; unset keeps none.
      options: further arguments of the optax function, e.g. `momentum`, `nesterov`, `b2`.
    """

    name: str = "sgd"
    learning_rate: float = 0.1
    weight_decay: float = 0.0
    decay_norms_and_biases: bool = False
    clip_norm: float | None = None
    accumulate_steps: int = 1
    ema_decay: float | None = None
    options: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class ScheduleConfig:
    """The learning rate over the run, as a factor of `optimizer.learning_rate`.

    Attributes:
      name: `constant`, `cosine`, `linear`, `step` or `one_cycle`.
      warmup_epochs: linear rise from zero, before the schedule proper (not for one_cycle).
      end_factor: where cosine, linear and one_cycle end.
      step_epochs: when `step` multiplies the rate by step_factor.
      step_factor: see step_epochs.
      peak_fraction: share of the run after which one_cycle is at its peak.
    """

    name: Literal["constant", "cosine", "linear", "step", "one_cycle"] = "cosine"
    warmup_epochs: float = 0.0
    end_factor: float = 0.0
    step_epochs: tuple[float, ...] = ()
    step_factor: float = 0.1
    peak_fraction: float = 0.3


@dataclasses.dataclass
class FinetuneConfig:
    """How a backbone that has learned before goes on learning; see also `model.pretrained`.

    Attributes:
      new_head: leave the whole head of `model.pretrained` out, also where it has as many classes.
      freeze_backbone: train the head alone. The backbone's parameters get no update, no decay and
        no gradient; its batch statistics still move unless freeze_batch_stats is set too.
      backbone_rate: learning rate of the backbone as a factor of `optimizer.learning_rate`.
      freeze_batch_stats: the backbone runs as in evaluation while it trains: batch norm uses its
        saved statistics and does not move them, and dropout in the backbone is off.
      unfreeze_epochs: over that many first epochs the backbone's parts join the training one after
        another, the last first; unset trains all of them from the start.
    """

    new_head: bool = False
    freeze_backbone: bool = False
    backbone_rate: float = 1.0
    freeze_batch_stats: bool = False
    unfreeze_epochs: float | None = None


@dataclasses.dataclass
class EvaluationConfig:
    """When and how the run is judged.

    Attributes:
      every_epochs: distance between evaluations on the validation split.
      batch_size: examples at a time; unset takes the training batch size.
      metric: the number that picks the best checkpoint, e.g. `accuracy`, `loss`, `top5`; unset
        takes `accuracy`, and `miou` for segmentation.
      early_stopping_patience: stop after that many evaluations without a better metric; unset
        trains to the end.
      boundary_tolerance: for segmentation, how many pixels a predicted boundary may be off, for
        the metric `boundary_f1`.
    """

    every_epochs: float = 1.0
    batch_size: int | None = None
    metric: str | None = None
    early_stopping_patience: int | None = None
    boundary_tolerance: int = 2


@dataclasses.dataclass
class CheckpointConfig:
    """What is kept.

    Attributes:
      every_steps: distance between checkpoints; unset saves at every evaluation.
      keep: how many of the latest stay, besides the best. At least two, so that a damaged one has
        something to fall back to.
    """

    every_steps: int | None = None
    keep: int = 2


@dataclasses.dataclass
class ShardingConfig:
    """What is cut over devices besides the batch, with `parallel=jit`. See docs/scale.md.

    Attributes:
      parameters: over so many devices parameters, their averages and the optimizer's state are cut
        (ZeRO, FSDP); 1 keeps a copy on each.
      height: over so many devices the rows of each image are cut, for images too large for one.
    """

    parameters: int = 1
    height: int = 1


@dataclasses.dataclass
class Config:
    """One experiment: with its seed, it determines every number of the run.

    Attributes:
      seed: root of all randomness: initialisation, order, augmentation, dropout.
      task: `classification`, or `segmentation`: one label for each pixel.
      batch_size: examples per update, over all devices and hosts together.
      epochs: passes over the training split; or set `steps`.
      steps: updates; when set, epochs must be unset (`--config.epochs=none`).
      log_every_steps: distance between the training metrics that are written.
      parallel: `jit` over a device mesh, or `pmap`.
      num_devices: how many of the visible devices to use; unset uses all.
      steps_per_call: updates fused in one call of the compiled program; unset takes 1 on CPU and
        10 on accelerators, where launching a small step costs as much as running it.
    """

    seed: int = 0
    task: Literal["classification", "segmentation"] = "classification"
    batch_size: int = 128
    epochs: float | None = 10.0
    steps: int | None = None
    log_every_steps: int = 50
    parallel: Literal["jit", "pmap"] = "jit"
    num_devices: int | None = None
    steps_per_call: int | None = None
    sharding: ShardingConfig = dataclasses.field(default_factory=ShardingConfig)
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    augment: AugmentConfig = dataclasses.field(default_factory=AugmentConfig)
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    loss: LossConfig = dataclasses.field(default_factory=LossConfig)
    optimizer: OptimizerConfig = dataclasses.field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = dataclasses.field(default_factory=ScheduleConfig)
    finetune: FinetuneConfig = dataclasses.field(default_factory=FinetuneConfig)
    evaluation: EvaluationConfig = dataclasses.field(default_factory=EvaluationConfig)
    checkpoint: CheckpointConfig = dataclasses.field(default_factory=CheckpointConfig)
