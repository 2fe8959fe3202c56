"""The base class of all groups of config fields."""

from typing import Any

from cnnlab.errors import UserError, did_you_mean


class Fields:
    """Base of the config's dataclasses: unknown fields cannot be set.

    Raises:
      UserError: on assignment to an unknown name, which a plain dataclass would accept.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        fields = type(self).__dataclass_fields__
        if name not in fields:
            group = type(self).__name__
            raise UserError(f"{group} has no field '{name}'.{did_you_mean(name, fields)}")
        super().__setattr__(name, value)
