"""Registries: components by name, built in or registered by a user's file or package.

    @cnnlab.register_model("tinynet")
    def tinynet(*, num_classes, dtype, width=32):
        return TinyNet(num_classes, width, dtype)

Afterwards `model.name="tinynet"` works like the name of a built-in network. This module imports
neither jax nor any other part of cnnlab but its errors; built-in components are imported when
their registry is first searched.
"""

import dataclasses
import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any, Generic, TypeVar

from cnnlab.errors import UserError, did_you_mean

T = TypeVar("T")

_PACKAGE = __name__.partition(".")[0]


@dataclasses.dataclass(frozen=True)
class Plugin:
    """A module outside of cnnlab that registers components.

    Attributes:
      module: its name in `sys.modules`.
      file: absolute path of its source; None for code typed into an interpreter.
    """

    module: str
    file: Path | None


@dataclasses.dataclass(frozen=True)
class Entry(Generic[T]):
    """A registered component.

    Attributes:
      name: the name that a config uses.
      load: returns the component; a built-in one may be imported only then.
      task: the task it is for, or None if it serves every task.
      plugin: the module that registered it; None for a built-in component.
      details: further facts about it, e.g. `mode` of a metric.
    """

    name: str
    load: Callable[[], T]
    task: str | None
    plugin: Plugin | None
    details: Mapping[str, Any]


class Registry(Generic[T]):
    """Components of one kind by name.

    Args:
      kind: what they are called in messages, e.g. `loss`.
      builtins: module that registers cnnlab's own components when it is imported, which happens
        when the registry is first searched.
      per_task: whether components of several tasks may share a name, e.g. the loss `focal`.
    """

    def __init__(self, kind: str, *, builtins: str, per_task: bool = False):
        self.kind = kind
        self._builtins: str | None = builtins
        self._per_task = per_task
        self._entries: dict[tuple[str | None, str], Entry[T]] = {}

    def register(
        self, name: str, *, task: str | None = None, **details: Any
    ) -> Callable[[Callable[..., Any]], Any]:
        """Returns a decorator that registers a component and returns it unchanged.

        Args:
          name: the name that a config uses.
          task: the task it is for; None for every task.
          **details: further facts about it, kept in its entry.

        Raises:
          UserError: the name is taken by a component of another module.
        """
        plugin = _calling_plugin(sys._getframe(1))

        def decorate(component: Any) -> Any:
            self.add(Entry(name, lambda: component, task, plugin, details))
            return component

        return decorate

    def add(self, entry: Entry[T]) -> None:
        """Adds an entry; a module that is executed again replaces its own.

        Raises:
          UserError: the name is not a text, or is taken by a component of another module.
        """
        if not isinstance(entry.name, str) or not entry.name:
            raise UserError(f"The name of a {self.kind} must be a text, got {entry.name!r}.")
        if entry.plugin is not None:
            self._load_builtins()  # to notice that one of them has this name
        key = (entry.task if self._per_task else None, entry.name)
        other = self._entries.get(key)
        if other is not None and _place(other.plugin) != _place(entry.plugin):
            raise UserError(
                f"The {self.kind} '{entry.name}' of {_place(entry.plugin)} has the name of "
                f"another one, of {_place(other.plugin)}: choose another name."
            )
        self._entries[key] = entry

    def find(self, name: str, *, task: str | None = None) -> Entry[T] | None:
        """Returns the entry of that name, or None; `task` is needed if tasks may share names."""
        self._load_builtins()
        if not self._per_task:
            return self._entries.get((None, name))
        return self._entries.get((task, name)) or self._entries.get((None, name))

    def entry(self, name: str, *, task: str | None = None) -> Entry[T]:
        """Returns the entry of that name.

        Raises:
          UserError: the name is unknown (the message names the nearest), or is for another task.
        """
        found = self.find(name, task=task)
        others = [e.task for e in self._entries.values() if e.name == name]
        if found is None and others:
            raise UserError(f"The {self.kind} '{name}' is for {' and '.join(others)}, not {task}.")
        if found is None:
            known = self.names(task=task if self._per_task else None)
            raise UserError(f"Unknown {self.kind} '{name}'.{did_you_mean(name, known)}")
        return found

    def get(self, name: str, *, task: str | None = None) -> T:
        """Returns the component of that name; raises a `UserError` for an unknown one."""
        return self.entry(name, task=task).load()

    def names(self, *, task: str | None = None) -> list[str]:
        """Names in the order of registration; with `task`, those that serve it."""
        return [entry.name for entry in self.entries(task=task)]

    def entries(self, *, task: str | None = None) -> list[Entry[T]]:
        """Entries in the order of registration; with `task`, those that serve it."""
        self._load_builtins()
        return [e for e in self._entries.values() if task is None or e.task in (None, task)]

    def registered(self) -> Iterator[Entry[T]]:
        """Entries that plugins registered; imports nothing."""
        return (entry for entry in self._entries.values() if entry.plugin is not None)

    def _load_builtins(self) -> None:
        if self._builtins is None:
            return
        # First, because the module that registers them may search this registry itself.
        module, self._builtins = self._builtins, None
        try:
            importlib.import_module(module)
        except BaseException:
            self._builtins = module
            raise


_Factory = Callable[..., Any]

MODELS = Registry[_Factory]("model", builtins="cnnlab.models.catalog")
DATASETS = Registry[_Factory]("data set", builtins="cnnlab.data.catalog")
LOSSES = Registry[_Factory]("loss", builtins="cnnlab.tasks.losses", per_task=True)
METRICS = Registry[_Factory]("metric", builtins="cnnlab.tasks.metrics", per_task=True)
OPTIMIZERS = Registry[_Factory]("optimizer", builtins="cnnlab.train.optim.optimizer")
SCHEDULES = Registry[_Factory]("schedule", builtins="cnnlab.train.optim.schedule")
AUGMENTATIONS = Registry[_Factory]("augmentation", builtins="cnnlab.data.augment")
CALLBACKS = Registry[_Factory]("callback", builtins="cnnlab.train.callbacks.configured")

REGISTRIES: tuple[Registry[Any], ...] = (
    MODELS,
    DATASETS,
    LOSSES,
    METRICS,
    OPTIMIZERS,
    SCHEDULES,
    AUGMENTATIONS,
    CALLBACKS,
)


def register_model(name: str, *, task: str = "classification") -> Callable[[T], T]:
    """Registers a network for `model.name`.

    Args:
      name: the name in configs.
      task: the task that its logits are for.

    Returns:
      A decorator for a factory `(*, num_classes, dtype, **options) -> flax.linen.Module`. The
      module's `__call__(images, *, train)` maps normalised float images [batch, height, width,
      channels] to logits: [batch, num_classes], or [batch, height, width, num_classes] for
      segmentation. The factory's other keyword arguments are its options in `model.options`.
    """
    return MODELS.register(name, task=task)


def register_dataset(name: str) -> Callable[[T], T]:
    """Registers a data set for `data.name`.

    Returns:
      A decorator for a function `(config) -> cnnlab.data.Dataset`, where `config` is the whole
      config of the run.
    """
    return DATASETS.register(name)


def register_loss(name: str, *, task: str = "classification") -> Callable[[T], T]:
    """Registers a loss for `loss.terms`.

    Args:
      name: the name in configs.
      task: the task it is for; losses of different tasks may share a name.

    Returns:
      A decorator for a function that returns the loss of each example, [batch]. For
      classification `(logits, targets, **options)`, with logits and target probabilities
      [batch, classes]; for segmentation `(logits, labels, *, class_weights, **options)`, with
      logits [batch, height, width, classes] and integer labels [batch, height, width]. Its keyword
      arguments are its options in `loss.options`.
    """
    return LOSSES.register(name, task=task)


def register_metric(
    name: str, *, task: str = "classification", mode: str = "max"
) -> Callable[[T], T]:
    """Registers a metric for `evaluation.metric` and `evaluation.metrics`.

    Args:
      name: the name in configs and rows.
      task: the task it is for; metrics of different tasks may share a name.
      mode: `max` if larger values are better, `min` if smaller ones are.

    Returns:
      A decorator for a class or factory, called with `num_classes=` if it takes that argument. Its
      objects have `sums(logits, batch)`, a dict of arrays that add up over batches (examples whose
      `batch["mask"]` is 0 must not count), and `finalize(sums)`, the metric as a float. A metric
      that needs all scores at once has `rows(logits, batch)` instead of `sums`, a dict of arrays
      [batch, ...] that reach `finalize` for all examples together. `batch["probabilities"]` are the
      task's.

    Raises:
      UserError: another mode.
    """
    if mode not in ("max", "min"):
        raise UserError(f"The metric '{name}' has mode={mode!r}: it must be 'max' or 'min'.")
    return METRICS.register(name, task=task, mode=mode)


def register_optimizer(name: str) -> Callable[[T], T]:
    """Registers an optimizer for `optimizer.name`.

    Returns:
      A decorator for a factory `(learning_rate, **options) -> optax.GradientTransformation`, where
      `learning_rate` may be a schedule. It receives `weight_decay` and `mask` only if its signature
      has them; without `weight_decay`, decay is added to the gradient before.
    """
    return OPTIMIZERS.register(name)


def register_schedule(name: str) -> Callable[[T], T]:
    """Registers a learning-rate schedule for `schedule.name`.

    Returns:
      A decorator for a factory `(peak, steps, **options) -> optax.Schedule`: `peak` is
      `optimizer.learning_rate`, `steps` the number of updates after the warm-up. Options come from
      `schedule.options`, and from fields of `schedule` of the same name.
    """
    return SCHEDULES.register(name)


def register_augmentation(name: str) -> Callable[[T], T]:
    """Registers an augmentation for `augment.extra`.

    Returns:
      A decorator for a function `(rng, images, **options) -> images` of float images in [0, 1],
      [batch, height, width, channels]. It runs inside the compiled step, after the built-in
      augmentations of color and before normalisation, and must not move pixels when labels are
      maps.
    """
    return AUGMENTATIONS.register(name)


def register_callback(name: str) -> Callable[[T], T]:
    """Registers a callback for `callbacks`.

    Returns:
      A decorator for a class or factory `(**options) -> cnnlab.train.callbacks.base.Callback`; its
      options come from `callbacks.NAME`.
    """
    return CALLBACKS.register(name)


def _calling_plugin(frame: FrameType | None) -> Plugin | None:
    """Returns the module that registers a component; None for cnnlab itself.

    It is the module whose body is being executed, so that a helper function that registers for its
    caller is not mistaken for the plugin, or else the module of the calling function.
    """
    while frame is not None and frame.f_globals.get("__name__") == __name__:
        frame = frame.f_back
    caller = frame
    while frame is not None and not _is_cnnlab(frame):
        names = frame.f_globals
        # Neither the main program nor code without a file, as a pool sends it to its workers.
        is_module = names.get("__name__") != "__main__" and names.get("__file__")
        if frame.f_code.co_name == "<module>" and is_module:
            return _plugin(frame)
        frame = frame.f_back
    return None if caller is None or _is_cnnlab(caller) else _plugin(caller)


def _is_cnnlab(frame: FrameType) -> bool:
    return frame.f_globals.get("__name__", "").partition(".")[0] == _PACKAGE


def _plugin(frame: FrameType) -> Plugin:
    file = frame.f_globals.get("__file__")
    return Plugin(frame.f_globals.get("__name__", ""), Path(file).resolve() if file else None)


def _place(plugin: Plugin | None) -> str:
    if plugin is None:
        return "cnnlab"
    return str(plugin.file or plugin.module)
