"""Trials that differ only in hyper-parameters, trained with one compilation.

Learning rates, decays, strengths of augmentation, dropout rates and seeds are arguments of the
compiled program (`cnnlab.train.hparams` has the list), so one program serves all of them: in turn
(`shared`), or side by side, batched over a trial axis and sharded over the devices (`vmap`). Every
member is an ordinary run in its folder, with the metrics of the same run trained alone up to
rounding, and can be resumed either way.
"""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import jax

from cnnlab.config import Config
from cnnlab.errors import UserError
from cnnlab.sweep.population.choice import choose, obstacle, rows_at_once
from cnnlab.train import CompiledSteps, Pruned, fit, load_data
from cnnlab.train.callbacks.base import Callback
from cnnlab.train.callbacks.progress import Silence
from cnnlab.train.engines.vmapped import VmapEngine
from cnnlab.train.hparams import program_key
from cnnlab.train.loop import Loop
from cnnlab.train.member import Member, MemberResult
from cnnlab.train.runtime.signals import StopRequests

Mode = Literal["auto", "vmap", "shared"]

# Of the last groups in this process: a study asks for the same ones again and again.
_kept: dict[str, CompiledSteps] = {}
_MOST_KEPT = 2


def group(configs: Sequence[Config]) -> list[list[int]]:
    """Groups the indices of configs that share a program, in order of first occurrence."""
    groups: dict[str, list[int]] = {}
    for index, config in enumerate(configs):
        try:
            key = program_key(config)
        except UserError:  # of which `fit_group` will tell
            key = f"mistake {index}"
        groups.setdefault(key, []).append(index)
    return list(groups.values())


def preferred_mode(config: Config, members: int) -> Literal["vmap", "shared"]:
    """Returns the faster mode for a number of runs like this one.

    Raises:
      UserError: a mistake in the config, or data that cannot be read.
    """
    return choose(_compiled_for(config), members).mode


def fit_group(
    configs: Sequence[Config],
    workdirs: Sequence[Path],
    *,
    callbacks: Sequence[Sequence[Callback]] | None = None,
    mode: Mode = "auto",
) -> list[MemberResult]:
    """Trains runs that differ only in hyper-parameters, or resumes them.

    Args:
      configs: configs of one group from `group`.
      workdirs: folder of each run.
      callbacks: callbacks of each run; None means none, and nothing is printed.
      mode: `vmap`, `shared`, or `auto` for the faster one.

    Returns:
      For each run the result of `fit`, or the exception that ended it: a `UserError` (`Diverged`
      for a loss that is not finite) or `Pruned`. The others continue.

    Raises:
      Interrupted: SIGTERM or SIGINT; the states of all are saved, and the same call resumes them.
      UserError: `vmap` is not possible.
      ValueError: the configs are of several groups.
    """
    callbacks = callbacks or [()] * len(configs)
    if not configs:
        return []
    if len(group(configs)) > 1:
        raise ValueError("These configs differ in more than hyper-parameters.")
    compiled, outcomes = _compiled(configs)
    left = [index for index, outcome in enumerate(outcomes) if outcome is None]
    if not left:
        return outcomes
    if mode == "auto":
        mode = choose(compiled, len(left)).mode
    elif mode == "vmap":
        impossible = obstacle(compiled)
        if impossible is not None:
            raise UserError(f"These runs cannot be trained side by side: {impossible}.")
    if mode == "shared":
        for index in left:
            outcomes[index] = _fit(compiled, configs[index], workdirs[index], callbacks[index])
        return outcomes
    at_once = rows_at_once(len(left))
    for start in range(0, len(left), at_once):
        some = left[start : start + at_once]
        found = _train_side_by_side(
            compiled,
            [configs[i] for i in some],
            [Path(workdirs[i]) for i in some],
            [callbacks[i] for i in some],
        )
        for index, outcome in zip(some, found, strict=True):
            outcomes[index] = outcome
    return outcomes


def _fit(
    compiled: CompiledSteps, config: Config, workdir: Path, callbacks: Sequence[Callback]
) -> MemberResult:
    try:
        return fit(config, workdir, callbacks=[Silence(), *callbacks], compiled=compiled)
    except (UserError, Pruned, OSError, jax.errors.JaxRuntimeError) as error:
        return error


def _train_side_by_side(
    compiled: CompiledSteps,
    configs: Sequence[Config],
    workdirs: Sequence[Path],
    callbacks: Sequence[Sequence[Callback]],
) -> list[MemberResult]:
    outcomes: list[MemberResult | None] = [None] * len(configs)
    members: dict[int, Member] = {}
    with StopRequests() as stop, contextlib.ExitStack() as resources:
        for index, config in enumerate(configs):
            try:
                member = Member(compiled, config, workdirs[index], callbacks[index])
                member.open(resources)
                members[index] = member
            except (UserError, OSError) as error:
                outcomes[index] = error
        left = [member for member in members.values() if member.outcome is None]
        if left:
            engine = VmapEngine(compiled, len(left))
            resources.callback(engine.clear)
            loop = Loop(compiled, engine, left, stop, isolated=True)
            loop.train()
            loop.judge()
    for index, member in members.items():
        outcomes[index] = member.outcome
    return outcomes


def _compiled(configs: Sequence[Config]) -> tuple[CompiledSteps | None, list[MemberResult | None]]:
    """Programs for these configs, and the errors of invalid ones."""
    outcomes: list[MemberResult | None] = [None] * len(configs)
    for index, config in enumerate(configs):
        try:
            return _compiled_for(config), outcomes
        except UserError as error:
            outcomes[index] = error
    return None, outcomes


def _compiled_for(config: Config) -> CompiledSteps:
    key = program_key(config)
    if key not in _kept:
        while len(_kept) >= _MOST_KEPT:
            _kept.pop(next(iter(_kept)))
        _kept[key] = CompiledSteps(config, load_data(config))
    return _kept[key]
