"""The flags `--config` and `--config.FIELD=VALUE`.

absl knows no flags whose names it has not been told, and the fields of a config are known only
once its file is read; so the overrides are taken out of the arguments first.
"""

from absl import flags

from cnnlab.config import Config, apply_overrides, load_experiment
from cnnlab.errors import UserError

DEFAULT_EXPERIMENT = "lenet_digits"
_PREFIX = "config."


def define_config_flag(values: flags.FlagValues, default: str | None = DEFAULT_EXPERIMENT) -> None:
    """Defines `--config`."""
    flags.DEFINE_string(
        "config",
        default,
        "Experiment: path of its file, bare name (see 'launch.py list experiments'), or a "
        "config.json. Any field is set by --config.FIELD=VALUE.",
        flag_values=values,
    )


def split_overrides(arguments: list[str]) -> tuple[list[str], dict[str, str]]:
    """Takes `--config.path=value` and `--config.path value` out of the arguments."""
    rest, overrides = [], {}
    remaining = iter(arguments)
    for argument in remaining:
        name = argument.lstrip("-")
        if not argument.startswith("-") or not name.startswith(_PREFIX):
            rest.append(argument)
            continue
        path, equals, value = name[len(_PREFIX) :].partition("=")
        if not equals:
            value = next(remaining, None)
            if value is None or value.startswith("--"):
                raise UserError(f"{argument} needs a value: {argument}=VALUE.")
        overrides[path] = value
    return rest, overrides


def resolve_config(name: str, overrides: dict[str, str]) -> Config:
    """Loads an experiment and applies overrides."""
    return apply_overrides(load_experiment(name), overrides)


def config_lines(config: Config) -> list[str]:
    """The resolved config for a person: top-level fields, then one line for each group."""
    groups: dict[str, list[str]] = {}
    for name, value in vars(config).items():
        if hasattr(value, "__dataclass_fields__"):
            groups[name] = [f"{field}={_show(v)}" for field, v in vars(value).items()]
        else:
            groups.setdefault("run", []).append(f"{name}={_show(value)}")
    width = max(map(len, groups))
    return [f"  {group:<{width}}  {' '.join(fields)}" for group, fields in groups.items()]


def _show(value: object) -> str:
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value).replace(" ", "")
