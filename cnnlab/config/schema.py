"""The fields of an experiment, as nested dataclasses with their defaults.

Every field can be set in an experiment file and overridden on the command line by its path, e.g.
`optimizer.learning_rate=0.05`. Durations have their unit in the name. Derived
numbers (total steps, the schedule's corners) are not fields but are computed from the final config,
so that an override changes all of them.
"""

import dataclasses
from typing import Any, Literal

from cnnlab.config.augment import AugmentConfig
from cnnlab.config.fields import Fields
from cnnlab.notebook import Shown, leaves

__all__ = ["AugmentConfig", "Config"]


@dataclasses.dataclass
class DataConfig(Fields):
    """Which data set, which examples, and their form.

    Attributes:
      name: `digits`, `folder:PATH` (with `train/CLASS/*.png`, or a table of images, see
        `cnnlab.data.sources.label_table`), or any image classification data set of TFDS; for
        multilabel `digit_pairs` or `folder:PATH` with a table; for segmentation `digit_scenes`,
        `folder:PATH` (with `images/` and `masks/`), or a set of TFDS that has masks, e.g.
        `oxford_iiit_pet`. The command `list datasets` names more.
      image_size: height and width in pixels of training images; unset keeps the set's own size
        where all images have one, see also docs/data.md.
      resize: how images of other sizes are resized: `shortest` scales the shorter side and cuts at
        the center; `squash` scales both sides; `pad` scales the longer side and mirrors the rest;
        `none` does not scale. `auto` takes `shortest`; for segmentation `pad` if image_size is set,
        else `none`, with patches in training where images are larger.
      crop_fraction: share of the scaled image that `shortest` and `squash` keep in evaluation, as
        timm's crop_pct; 0.875 in the classic recipe. Unset takes what `model.pretrained` expects,
        where that is known and images are not merely enlarged, else 1.
      interpolation: interpolation of the scaling: `bicubic`, `bilinear`, `lanczos` or `nearest`.
        Unset takes what `model.pretrained` expects, where that is known, else `bicubic`.
      data_dir: folder of TFDS data sets; unset means TFDS's default, `~/tensorflow_datasets`.
      manual_dir: folder of archives that TFDS uses instead of downloading them.
      mask_suffix: what the names of masks in a folder have after those of their images, e.g.
        `_mask` for `images/a.jpg` and `masks/a_mask.png`.
      validation_fraction: share of the training split, in [0, 1), held out for validation when the
        set has no validation split of its own. With 0 the periodic evaluation reads the test split,
        and neither a best checkpoint nor early stopping is available.
      group_by: keeps all images of a patient, a video or a plate in one split: a folder level (1 is
        the first folder below PATH, -1 the one that an image lies in), or a regular expression that
        is searched in an image's path, e.g. `patient[0-9]+`. Unset holds out each image by itself.
      folds: cuts the training split into so many folds for cross-validation, in place of
        `validation_fraction`; the study of `data.fold=range(5)` shows mean and spread.
      fold: the fold that is the validation split, from 0 on.
      train_examples_per_class: number of training examples per class, the same for every
        seed, chosen after the validation split is held out; unset trains on all.
      sampling: `uniform` draws every training example once per epoch; `balanced` draws every class
        equally often (`cnnlab.data.order.balanced_indices`) in epochs of the same length.
      value_range: pixel values that become 0 and 1, e.g. (-160, 240) as the window of a CT; others
        are clipped. Unset uses 0 and 255 for 8-bit images, and for other types the smallest and
        largest value of the training split.
      normalize: `dataset` subtracts `mean` and divides by `std`; `per_image` subtracts each
        image's own mean, channel by channel, and divides by its own deviation.
      mean: per-channel mean of pixels in [0, 1]. Unset uses what `model.pretrained` expects, if
        that is known and images have three channels, else the training split's mean.
      std: per-channel standard deviation, same length as `mean`; set both or neither.
      num_workers: processes that decode images of data sets too large for memory; 0 uses threads.
    """

    name: str = "digits"
    image_size: int | None = None
    resize: Literal["auto", "shortest", "squash", "pad", "none"] = "auto"
    crop_fraction: float | None = None
    interpolation: Literal["bicubic", "bilinear", "lanczos", "nearest"] | None = None
    data_dir: str | None = None
    manual_dir: str | None = None
    mask_suffix: str = ""
    validation_fraction: float = 0.1
    group_by: str | None = None
    folds: int | None = None
    fold: int = 0
    train_examples_per_class: int | None = None
    sampling: Literal["uniform", "balanced"] = "uniform"
    value_range: tuple[float, float] | None = None
    normalize: Literal["dataset", "per_image"] = "dataset"
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    num_workers: int = 0


@dataclasses.dataclass
class ModelConfig(Fields):
    """The network.

    Attributes:
      name: a name that the command `list models` prints.
      dtype: dtype of computation, `float32` or `bfloat16`; parameters stay float32.
      remat: store only the inputs of each block and recompute the rest for the gradients: less
        memory for about a third more computation. For accelerators.
      pretrained: weights to start from: `timm/NAME[.TAG]`, `torchvision/NAME[.WEIGHTS]`,
        `smp/OWNER/REPOSITORY`, a file of `torch.save` or safetensors, or the folder of a run
        (docs/pretrained.md). A resumed run does not read them again.
      options: options of the architecture, e.g. `stem`, `norm`, `dropout_rate`, set by
        `model.options.stem=cifar`.
    """

    name: str = "lenet"
    dtype: Literal["float32", "bfloat16"] = "float32"
    remat: bool = False
    pretrained: str | None = None
    options: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class LossConfig(Fields):
    """The training objective.

    Attributes:
      label_smoothing: share of the target spread evenly over the classes, in [0, 1).
      terms: weight of each loss in the sum, by name, e.g.
        `loss.terms.cross_entropy=1`, `loss.terms.dice=0.5`. Classification has
        `cross_entropy`, `focal`, `binary_cross_entropy` and `sigmoid_focal`; multilabel
        `binary_cross_entropy` and `focal`; segmentation `boundary`, `cross_entropy`, `dice`,
        `focal`, `jaccard`, `lovasz`, `tversky`. The default is the first named here, for
        segmentation `cross_entropy`.
      options: options of each loss, by the loss's name, e.g. `loss.options.focal.gamma=3`.
      class_weights: factor of each class in the losses, in the order of the classes, or
        `balanced`: n / (k n_c) for n training examples (pixels for segmentation) in k classes.
        Examples are averaged with equal weights. Unset weighs all classes by 1.
      binary: for segmentation of two classes, use one logit with a sigmoid instead of two.
    """

    label_smoothing: float = 0.0
    terms: dict[str, float] = dataclasses.field(default_factory=dict)
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    class_weights: Literal["balanced"] | tuple[float, ...] | None = None
    binary: bool = False


@dataclasses.dataclass
class OptimizerConfig(Fields):
    """How parameters are updated.

    Attributes:
      name: a name that the command `list optimizers` prints; they are optax's.
      learning_rate: the schedule's peak.
      weight_decay: decoupled where the optimizer has it (adamw, lamb, lars, muon, ...), else added
        to the gradient (L2).
      decay_norms_and_biases: also decay parameters with fewer than two axes.
      clip_norm: largest global norm of the gradients, which are scaled down to it; unset does not
        clip.
      accumulate_steps: number of equal parts in which a batch is computed one after the other,
        which saves memory; the update is that of the whole batch, but batch norm sees the parts.
      ema_decay: decay of an exponential moving average of the weights, which is then evaluated;
        unset keeps none.
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
class ScheduleConfig(Fields):
    """The learning rate over the run, as a factor of `optimizer.learning_rate`.

    Attributes:
      name: `constant`, `cosine`, `cosine_restarts`, `linear`, `polynomial`, `step`, `one_cycle`, or
        a registered name.
      warmup_epochs: epochs of linear increase from zero before the schedule (not for one_cycle).
      end_factor: last learning rate divided by the peak, for cosine, cosine_restarts (in each
        cycle), linear, polynomial and one_cycle.
      step_epochs: epochs after which `step` multiplies the rate by step_factor.
      step_factor: factor of the rate at each of step_epochs.
      peak_fraction: share of the run after which one_cycle reaches its peak.
      power: exponent of polynomial; 1 is linear.
      cycle_epochs: epochs in the first cycle of cosine_restarts (Loshchilov & Hutter 2017).
      cycle_factor: length of each cycle divided by that of the previous one, at least 1.
      options: further options of a registered schedule.
    """

    name: str = "cosine"
    warmup_epochs: float = 0.0
    end_factor: float = 0.0
    step_epochs: tuple[float, ...] = ()
    step_factor: float = 0.1
    peak_fraction: float = 0.3
    power: float = 0.9
    cycle_epochs: float = 10.0
    cycle_factor: float = 2.0
    options: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class FinetuneConfig(Fields):
    """How a pretrained backbone (`model.pretrained`) is fine-tuned.

    Attributes:
      new_head: initialise the head anew even if that of `model.pretrained` fits.
      freeze_backbone: train the head alone. The backbone's parameters get no update, no decay and
        no gradient; its batch statistics still move unless freeze_batch_stats is set too.
      backbone_rate: learning rate of the backbone as a factor of `optimizer.learning_rate`.
      freeze_batch_stats: run the backbone in evaluation mode during training: batch norm uses and
        keeps its saved statistics, and dropout in the backbone is off.
      layer_decay: layer-wise decay of the learning rate, above 0 and at most 1: the backbone's last
        part has `layer_decay` times the head's learning rate, and each part before it
        `layer_decay` times that of the next one, as in timm. 1 is off.
      unfreeze_epochs: number of first epochs over which the backbone's parts start training one
        after another, the last part first; unset trains all from the start.
    """

    new_head: bool = False
    freeze_backbone: bool = False
    backbone_rate: float = 1.0
    freeze_batch_stats: bool = False
    layer_decay: float = 1.0
    unfreeze_epochs: float | None = None


@dataclasses.dataclass
class EvaluationConfig(Fields):
    """When and how the run is evaluated.

    Attributes:
      every_epochs: epochs between evaluations on the validation split.
      batch_size: examples per batch; unset uses the training batch size.
      metric: the metric that picks the best checkpoint, e.g. `accuracy`, `loss`, `top5` or any of
        `metrics`; unset uses `accuracy`, `f1` for multilabel, and `miou` for segmentation.
      metrics: further metrics to compute: `balanced_accuracy`, `precision`, `recall`, `f1`,
        `auroc`, `average_precision` (means over classes), `brier`, or a registered name.
      early_stopping_patience: number of evaluations without a better metric after which the run
        stops; unset trains to the end.
      boundary_tolerance: for segmentation, largest error in pixels of a predicted boundary that
        the metric `boundary_f1` accepts.
    """

    every_epochs: float = 1.0
    batch_size: int | None = None
    metric: str | None = None
    metrics: tuple[str, ...] = ()
    early_stopping_patience: int | None = None
    boundary_tolerance: int = 2


@dataclasses.dataclass
class CheckpointConfig(Fields):
    """Which checkpoints are saved and kept.

    Attributes:
      every_steps: steps between checkpoints; unset saves at every evaluation.
      keep: number of latest checkpoints kept besides the best, at least two, so that a damaged one
        can be replaced by the one before.
    """

    every_steps: int | None = None
    keep: int = 2


@dataclasses.dataclass
class ShardingConfig(Fields):
    """What is sharded over devices besides the batch, with `parallel=jit` (docs/scale.md).

    Attributes:
      parameters: number of devices that parameters, their averages and the optimizer's state are
        sharded over (ZeRO, FSDP); 1 keeps a copy on each.
      height: number of devices that the rows of each image are sharded over, for images too large
        for one device.
    """

    parameters: int = 1
    height: int = 1


@dataclasses.dataclass(repr=False)
class Config(Shown, Fields):
    """One experiment: with its seed, it determines every number of the run.

    Attributes:
      seed: seed of all randomness: initialisation, order, augmentation, dropout.
      task: `classification`: one class for each image; `multilabel`: any number of classes for
        each; or `segmentation`: one label for each pixel.
      batch_size: examples per update, in total over all devices and hosts.
      epochs: passes over the training split; unset it (`epochs=none`) to set `steps`.
      steps: number of updates; requires `epochs=none`.
      log_every_steps: largest number of steps between rows of training metrics; a run has at least
        ten rows.
      parallel: `jit` over a device mesh, or `pmap`.
      num_devices: number of visible devices to use; unset uses all.
      plugins: modules, and files with their SHA-256, whose registered components the config names;
        recorded automatically from the experiment's file and its imports.
      objects: components that were passed as objects and not by name, e.g. `model`; recorded
        automatically.
      callbacks: options of registered callbacks by name, e.g.
        `callbacks.my_tracker.project=digits`; `NAME={}` for one without options.
      steps_per_call: updates fused in one call of the compiled program; unset uses 1 on CPU and
        10 on accelerators, where launching a small step costs as much as running it.
    """

    seed: int = 0
    task: str = "classification"
    batch_size: int = 128
    epochs: float | None = 10.0
    steps: int | None = None
    log_every_steps: int = 50
    parallel: Literal["jit", "pmap"] = "jit"
    num_devices: int | None = None
    steps_per_call: int | None = None
    plugins: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()
    callbacks: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
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

    def _summary(self) -> str:
        length = f"{self.epochs:g} epochs" if self.steps is None else f"{self.steps} steps"
        return f"{self.model.name} on {self.data.name}, {length}, seed {self.seed}"

    def _rows(self) -> dict[str, Any]:
        """Fields that differ from their defaults."""
        own, default = (dict(leaves(dataclasses.asdict(config))) for config in (self, Config()))
        return {path: x for path, x in own.items() if path not in default or x != default[path]}
