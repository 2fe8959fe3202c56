"""Records the plugins that the names in a config come from."""

import dataclasses
from collections.abc import Iterable
from typing import Any

from cnnlab import registry
from cnnlab.config.schema import Config
from cnnlab.plugins import record


def with_plugins(config: Config, plugins: Iterable[str] = ()) -> Config:
    """Returns a copy of a config that records the plugins whose components it names.

    Args:
      config: the experiment.
      plugins: further plugins to record, e.g. those of an experiment's file.
    """
    found = [
        entry.plugin
        for components, names in _names(config)
        for entry in components.registered()
        if entry.name in names and entry.plugin is not None
    ]
    texts = dict.fromkeys([*config.plugins, *plugins, *record(found)])
    return dataclasses.replace(config, plugins=tuple(texts))


def _names(config: Config) -> list[tuple[registry.Registry[Any], set[str]]]:
    """Each registry with the names that the config uses from it."""
    options = {value for value in config.model.options.values() if isinstance(value, str)}
    metrics = {config.evaluation.metric or "", *config.evaluation.metrics}
    return [
        (registry.MODELS, {config.model.name, *options}),  # an option may name an encoder
        (registry.DATASETS, {config.data.name}),
        (registry.LOSSES, set(config.loss.terms)),
        (registry.METRICS, metrics),
        (registry.OPTIMIZERS, {config.optimizer.name}),
        (registry.SCHEDULES, {config.schedule.name}),
        (registry.AUGMENTATIONS, set(config.augment.extra)),
        (registry.CALLBACKS, set(config.callbacks)),
    ]
