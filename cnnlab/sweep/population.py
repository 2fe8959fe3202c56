"""Trials that differ only in numbers that can be traced, trained with one compilation.

Their learning rates, decays, strengths of augmentation, rates of dropout and seeds are arguments of
the compiled program (`cnnlab.train.numbers` has the list), so it serves all of them: one after the
other (`shared`), or side by side, batched over a trial axis and shared out over the devices
(`vmap`). Every member is an ordinary run in its folder, with the numbers of the same run trained
alone up to rounding, and may be resumed either way.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import jax

from cnnlab.config import Config
from cnnlab.errors import UserError
from cnnlab.sweep.population_choice import choose, obstacle, rows_at_once
from cnnlab.sweep.population_run import train_side_by_side
from cnnlab.train import Programs, Pruned, fit
from cnnlab.train.display import Display, Silence
from cnnlab.train.numbers import skeleton
from cnnlab.train.watch import Watch

Mode = Literal["auto", "vmap", "shared"]
Outcome = dict[str, Any] | Exception

# Of the last groups in this process: a study asks for the same ones again and again.
_kept: dict[str, Programs] = {}
_MOST_KEPT = 2


def group(configs: Sequence[Config]) -> list[list[int]]:
    """Indices of configs that can be trained by one program, in the order of their first ones."""
    groups: dict[str, list[int]] = {}
    for index, config in enumerate(configs):
        try:
            key = skeleton(config)
        except UserError:  # of which `fit_group` will tell
            key = f"mistake {index}"
        groups.setdefault(key, []).append(index)
    return list(groups.values())


def preferred_mode(config: Config, members: int) -> Literal["vmap", "shared"]:
    """The faster way for so many runs like this one; see `choose`.

    Raises:
      UserError: a mistake in the config, or data that cannot be had.
    """
    return choose(_programs_of(config), members).mode


def fit_group(
    configs: Sequence[Config],
    workdirs: Sequence[Path],
    *,
    watches: Sequence[Watch | None] | None = None,
    displays: Sequence[Display] | None = None,
    mode: Mode = "auto",
) -> list[Outcome]:
    """Trains runs that differ only in numbers that can be traced, or goes on with them.

    Args:
      configs: one group of `group`.
      workdirs: a folder for each; see `cnnlab.train.fit`.
      watches: for each, told of its evaluations; ends it where it returns True. None: nobody.
      displays: for each, what a person sees; None shows nothing.
      mode: `vmap`, `shared`, or `auto`: the faster of them, see `choose`.

    Returns:
      For each run what `fit` returns, or the exception that ended it: a `UserError` (`Diverged`
      for a loss that is not finite), or `Pruned`. The others go on.

    Raises:
      Interrupted: SIGTERM or SIGINT; the states of all are saved, and the same call goes on.
      UserError: `vmap` is asked for where it is not possible.
      ValueError: configs of several groups.
    """
    displays = displays or [Silence() for _ in configs]
    watches = watches or [None] * len(configs)
    if not configs:
        return []
    if len(group(configs)) > 1:
        raise ValueError("These configs differ in more than numbers that can be traced.")
    programs, outcomes = _programs(configs)
    left = [index for index, outcome in enumerate(outcomes) if outcome is None]
    if not left:
        return outcomes
    if mode == "auto":
        mode = choose(programs, len(left)).mode
    elif mode == "vmap":
        impossible = obstacle(programs)
        if impossible is not None:
            raise UserError(f"These runs cannot be trained side by side: {impossible}.")
    at_once = rows_at_once(len(left)) if mode == "vmap" else 1
    for start in range(0, len(left), at_once):
        some = left[start : start + at_once]
        if mode == "vmap":
            found = train_side_by_side(
                programs,
                [configs[i] for i in some],
                [Path(workdirs[i]) for i in some],
                watches=[watches[i] for i in some],
                displays=[displays[i] for i in some],
            )
        else:
            (i,) = some
            found = [_fit(programs, configs[i], workdirs[i], watches[i], displays[i])]
        for index, outcome in zip(some, found, strict=True):
            outcomes[index] = outcome
    return outcomes


def _fit(
    programs: Programs, config: Config, workdir: Path, watch: Watch | None, display: Display
) -> Outcome:
    try:
        return fit(config, workdir, watch=watch, display=display, programs=programs)
    except (UserError, Pruned, OSError, jax.errors.JaxRuntimeError) as error:
        return error


def _programs(configs: Sequence[Config]) -> tuple[Programs | None, list[Outcome | None]]:
    """Programs for these configs, and the mistakes of those that have some."""
    outcomes: list[Outcome | None] = [None] * len(configs)
    for index, config in enumerate(configs):
        try:
            return _programs_of(config), outcomes
        except UserError as error:
            outcomes[index] = error
    return None, outcomes


def _programs_of(config: Config) -> Programs:
    key = skeleton(config)
    if key not in _kept:
        while len(_kept) >= _MOST_KEPT:
            _kept.pop(next(iter(_kept)))
        _kept[key] = Programs(config)
    return _kept[key]
