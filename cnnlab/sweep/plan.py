"""From what a user asks for to a study's description, checked before any trial starts."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cnnlab.classical import BASELINES
from cnnlab.config import Config, to_json
from cnnlab.errors import UserError
from cnnlab.sweep.config_objective import ConfigObjective
from cnnlab.sweep.config_space import config_space
from cnnlab.sweep.objective import FunctionObjective
from cnnlab.sweep.param import Param
from cnnlab.sweep.sampler import RandomSampler
from cnnlab.sweep.space import Space
from cnnlab.sweep.spec import Spec
from cnnlab.train.make_task import DEFAULT_METRICS
from cnnlab.train.schedule import epochs_to_steps, total_steps
from cnnlab.train.setup import load_data, make_setup

Params = Mapping[str, Any] | Iterable[tuple[str, Param]]

_TRIES = 20  # proposals among which one must be a run that can start


def plan_config(
    config: Config,
    params: Params,
    constraints: Sequence[str],
    *,
    sampler: str,
    pruner: str,
    repeats: int,
    seed: int,
    lag: int | None,
) -> Spec:
    """A study of a config.

    Raises:
      UserError: anything that would make all its trials fail, and any value in the space that
        cannot be.
    """
    space = config_space(config, params, constraints)
    metric, mode, evaluations = _probe(config, space, seed)
    spec = Spec(
        objective={"config": to_json(config)},
        space=space.texts(),
        constraints=list(constraints),
        metric=metric,
        direction="maximize" if mode == "max" else "minimize",
        sampler=sampler,
        pruner=pruner,
        evaluations=evaluations,
        repeats=repeats,
        seed=seed,
        lag=lag,
    )
    return _checked(spec)


def plan_function(
    function: FunctionObjective,
    params: Params,
    constraints: Sequence[str],
    *,
    direction: str,
    sampler: str,
    pruner: str,
    repeats: int,
    seed: int,
    lag: int | None,
) -> Spec:
    """A study of a function; raises a `UserError` for a mistake in the space."""
    if direction not in ("minimize", "maximize"):
        raise UserError(f"direction={direction!r} must be 'minimize' or 'maximize'.")
    space = Space(params, constraints)
    spec = Spec(
        objective=function.describe(),
        space=space.texts(),
        constraints=list(constraints),
        metric="value",
        direction=direction,
        sampler=sampler,
        pruner=pruner,
        evaluations=None,
        repeats=repeats,
        seed=seed,
        lag=lag,
    )
    return _checked(spec)


def _checked(spec: Spec) -> Spec:
    spec.make_sampler()
    spec.make_pruner()
    if spec.repeats < 1:
        raise UserError(f"repeats={spec.repeats} must be at least 1.")
    if spec.lag is not None and spec.lag < 1:
        raise UserError(f"lag={spec.lag} must be at least 1.")
    if spec.repeats > 1 and any(path == "seed" for path, _ in spec.space):
        raise UserError("seed is searched already: leave out the repeats, or seed from the space.")
    return spec


def _probe(config: Config, space: Space, seed: int) -> tuple[str, str, int]:
    """Metric, its mode, and number of evaluations, of the first trial that can be set up."""
    drawn = RandomSampler(space, seed=seed)
    objective, first = ConfigObjective(config, "", ""), None
    for number in range(_TRIES):
        proposal = drawn.propose(number, ())
        if proposal is None:
            break
        try:
            return _probe_one(objective.trial_config(space.by_path(proposal.values)))
        except UserError as error:
            first = first or error
    raise first


def _probe_one(config: Config) -> tuple[str, str, int]:
    dataset = load_data(config)
    if "validation" not in dataset.splits:
        raise UserError(
            f"{config.data.name} has no validation split to choose by, and the test split must not "
            "decide: set data.validation_fraction above 0."
        )
    if config.model.name in BASELINES:
        return config.evaluation.metric or DEFAULT_METRICS[config.task], "max", 1
    setup = make_setup(config, dataset.info)
    setup.abstract_state()
    examples = dataset.info.num_examples["train"]
    every = epochs_to_steps(config.evaluation.every_epochs, config, examples)
    evaluations = math.ceil(total_steps(config, examples) / every)
    return setup.metric, setup.task.metrics[setup.metric], evaluations
