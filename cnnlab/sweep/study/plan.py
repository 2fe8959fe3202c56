"""Builds a study's description from the user's arguments and checks it before any trial starts."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict, Unpack

from cnnlab.config import Config, apply_overrides, to_json, with_plugins
from cnnlab.errors import UserError
from cnnlab.models.catalog import BASELINES
from cnnlab.sweep.space.config_space import config_space
from cnnlab.sweep.space.param import Param
from cnnlab.sweep.space.space import Space
from cnnlab.sweep.study.spec import Spec
from cnnlab.sweep.workers.objective import FunctionObjective
from cnnlab.tasks.build import metric_of
from cnnlab.train.experiment import build_experiment
from cnnlab.train.run_data import data_is_at_hand, load_data

Params = Mapping[str, Any] | Iterable[tuple[str, Param]]

_TRIES = 20  # proposals among which one must be a run that can start


class Search(TypedDict):
    """How a study searches: fields of its `Spec`, which has their meanings."""

    sampler: str
    pruner: str
    repeats: int
    seed: int


def plan_config(
    config: Config,
    params: Params,
    constraints: Sequence[str],
    *,
    download: bool = True,
    **search: Unpack[Search],
) -> Spec:
    """Plans a study of a config.

    Without `download`, a data set that is not present is not read; trials of such a study can be
    listed but not trained.

    Raises:
      UserError: all trials would fail, or the space has an impossible value.
    """
    config = with_plugins(config)
    space = config_space(config, params, constraints)
    metric, mode, evaluations = _probe(config, space, download=download)
    spec = Spec(
        objective={"config": to_json(config)},
        space=space.texts(),
        constraints=list(constraints),
        metric=metric,
        direction="maximize" if mode == "max" else "minimize",
        evaluations=evaluations,
        **search,
    )
    return _checked(spec)


def plan_function(
    function: FunctionObjective,
    params: Params,
    constraints: Sequence[str],
    *,
    direction: str,
    **search: Unpack[Search],
) -> Spec:
    """Plans a study of a function; raises a `UserError` for a mistake in the space."""
    space = Space(params, constraints)
    spec = Spec(
        objective=function.describe(),
        space=space.texts(),
        constraints=list(constraints),
        metric="value",
        direction=direction,
        evaluations=None,
        **search,
    )
    return _checked(spec)


def _checked(spec: Spec) -> Spec:
    if not 0 <= spec.seed < 2**32:
        raise UserError(f"seed={spec.seed} must be at least 0 and below 2**32 = {2**32}.")
    spec.make_sampler()
    spec.make_pruner()
    if spec.direction not in ("minimize", "maximize"):
        raise UserError(f"direction={spec.direction!r} must be 'minimize' or 'maximize'.")
    if spec.repeats < 1:
        raise UserError(f"repeats={spec.repeats} must be at least 1.")
    if spec.repeats > 1 and any(path == "seed" for path, _ in spec.space):
        raise UserError("seed is searched already: leave out the repeats, or seed from the space.")
    return spec


def _probe(config: Config, space: Space, *, download: bool) -> tuple[str, str, int | None]:
    """Metric, its mode, and number of evaluations of the first random trial that can be built."""
    first = None
    for values in space.samples(_TRIES):
        try:
            trial = apply_overrides(config, space.by_path(values))
            return _probe_one(trial, download=download)
        except UserError as error:
            first = first or error
    raise first


def _probe_one(config: Config, *, download: bool) -> tuple[str, str, int | None]:
    if not download and not data_is_at_hand(config):
        evaluations = config.epochs and math.ceil(config.epochs / config.evaluation.every_epochs)
        return metric_of(config), "max", evaluations
    dataset = load_data(config)
    if "validation" not in dataset.splits:
        raise UserError(
            f"{config.data.name} has no validation split to choose by, and the test split must not "
            "decide: set data.validation_fraction above 0."
        )
    if config.model.name in BASELINES:
        return metric_of(config), "max", 1
    experiment = build_experiment(config, dataset.info)
    experiment.abstract_state()
    evaluations = math.ceil(experiment.total_steps / experiment.eval_steps)
    return experiment.metric, experiment.task.metrics[experiment.metric], evaluations
