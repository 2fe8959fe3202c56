"""The flags `--config` and `--config.FIELD=VALUE`.

absl needs the names of all flags in advance, but the fields of a config are known only once its
file is read, so overrides are taken out of the arguments first.
"""

from cnnlab.config import Config, apply_overrides, is_switch, load_experiment
from cnnlab.config.overrides import field_text
from cnnlab.errors import UserError

DEFAULT_EXPERIMENT = "lenet_digits"
_PREFIX = "config."


def split_overrides(arguments: list[str]) -> tuple[list[str], dict[str, str]]:
    """Takes `--config.path=value` and `--config.path value` out of the arguments.

    A field that is true or false may stand alone, and is then true.
    """
    rest, overrides = [], {}
    remaining = list(reversed(arguments))
    while remaining:
        argument = remaining.pop()
        name = argument.lstrip("-")
        if not argument.startswith("-") or not name.startswith(_PREFIX):
            rest.append(argument)
            continue
        path, equals, value = name[len(_PREFIX) :].partition("=")
        if not equals:
            following = remaining[-1] if remaining else "--"
            if is_switch(path) and following.lower() not in ("true", "false"):
                value = "true"
            elif following.startswith("--"):
                raise UserError(f"{argument} needs a value: {argument}=VALUE.")
            else:
                value = remaining.pop()
        overrides[path] = value
    return rest, overrides


def resolve_config(name: str, overrides: dict[str, str]) -> Config:
    """Loads an experiment and applies overrides."""
    return apply_overrides(load_experiment(name), overrides)


def config_lines(config: Config) -> list[str]:
    """Formats the resolved config for the terminal: top-level fields, then one line per group."""
    groups: dict[str, list[str]] = {}
    for name, value in vars(config).items():
        if hasattr(value, "__dataclass_fields__"):
            groups[name] = [f"{field}={field_text(v)}" for field, v in vars(value).items()]
        else:
            groups.setdefault("run", []).append(f"{name}={field_text(value)}")
    width = max(map(len, groups))
    return [f"  {group:<{width}}  {' '.join(fields)}" for group, fields in groups.items()]
