"""A space over the fields of a config, checked against the config before any trial starts."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cnnlab.config import Config, apply_overrides, check_options, field_values, validate
from cnnlab.errors import UserError, did_you_mean
from cnnlab.models import model_options
from cnnlab.models.catalog import BASELINES
from cnnlab.registry import SCHEDULES
from cnnlab.sweep.space.param import Float, Param
from cnnlab.sweep.space.space import Entry, Space

_SAMPLES = 64  # random trials in which a value gets the chance to fit


def config_space(
    config: Config,
    params: Mapping[str, Any] | Iterable[tuple[str, Param]],
    constraints: Sequence[str] = (),
) -> Space:
    """A space over `config`, in which every value can be.

    Raises:
      UserError: a path that names no field; an unknown schedule; a value of the wrong type, or out
        of the field's range in every combination; an option that no model of the space has.
    """
    space = Space(params, constraints, others=field_values(config))
    for entry in space.entries:
        _check_types(config, entry)
    samples = space.samples(_SAMPLES)
    for values in samples:
        trial = apply_overrides(config, space.by_path(values))
        SCHEDULES.entry(trial.schedule.name)
        _check_models(trial, space)
    for entry in space.entries:
        _check_values(config, space, entry, samples)
    return space


def _check_types(config: Config, entry: Entry) -> None:
    inside = entry.param.from_unit(0.382)  # not whole, in a range of real numbers
    for value in (*entry.param.bounds(), inside):
        try:
            apply_overrides(config, {entry.path: value})
        except UserError as error:
            if isinstance(entry.param, Float) and "a whole number" in str(error):
                raise UserError(
                    f"{entry.path} takes whole numbers, and {entry.param} gives others: take "
                    "int(a, b), logint(a, b) or a list."
                ) from error
            raise


def _check_models(config: Config, space: Space) -> None:
    """Raises a `UserError` for options that the model of a trial does not have."""
    model = config.model
    if model.name in BASELINES:
        return
    known = model_options(model.name)
    for name in model.options:
        if name not in known:
            path = f"model.options.{name}"
            swept = any(entry.path == path for entry in space.entries)
            mend = (
                f"give it a condition, '{path}=... if model.name == ...'"
                if swept
                else f"leave it out of the config, or add '{path}=[{model.options[name]!r}] if "
                "model.name == ...'"
            )
            raise UserError(
                f"{path}: model '{model.name}', which the space has, has no such option; {mend}."
                + (did_you_mean(name, known) if swept else "")
            )
    check_options("model.options", model.options, known)


def _check_values(config: Config, space: Space, entry: Entry, samples: Sequence[Any]) -> None:
    """Raises what `validate` has against a value, unless some combination makes it right."""
    for value in entry.param.bounds():
        first = None
        for values in ({}, *samples):
            fields = space.by_path(values) | {entry.path: value}
            try:
                validate(apply_overrides(config, fields))
                break
            except UserError as error:
                first = first or error
        else:
            raise first
