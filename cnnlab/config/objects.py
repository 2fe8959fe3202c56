"""Objects that are passed to `fit` instead of names in the config."""

import dataclasses
from typing import Any

from cnnlab.config.schema import Config
from cnnlab.errors import UserError


def with_objects(config: Config, **objects: Any) -> Config:
    """Returns a copy of a config that records which objects replace its names.

    Args:
      config: the experiment.
      **objects: the objects by the names of `fit`'s arguments; None if the config's name is used.
    """
    given = tuple(sorted(name for name, value in objects.items() if value is not None))
    return dataclasses.replace(config, objects=given)


def check_objects(config: Config, **objects: Any) -> None:
    """Raises a `UserError` if an object that the run was started with is missing.

    Args:
      config: the run's config.
      **objects: the objects by the names of `fit`'s arguments; None if there is none.
    """
    for name, value in objects.items():
        if name in config.objects and value is None:
            raise UserError(
                f"This run was given its {_WORDS[name]} as an object, which its folder does not "
                f"hold: pass the same object as the argument {name}; commands cannot."
            )


_WORDS = {
    "augment": "augmentation",
    "dataset": "data set",
    "model": "network",
    "task": "task",
    "tx": "optimizer",
}
