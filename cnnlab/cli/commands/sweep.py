"""Runs `launch.py sweep`; its help and its flags are `cnnlab.cli.flags.sweep`."""

import dataclasses
import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import jax
from absl import flags

from cnnlab.cli.config_flags import DEFAULT_EXPERIMENT, resolve_config
from cnnlab.cli.jax_setup import share_compilation_cache
from cnnlab.cli.launcher import read_launcher
from cnnlab.cli.terminal import console
from cnnlab.config import apply_overrides, from_json, load_sweep
from cnnlab.errors import UserError
from cnnlab.plugins import load_plugins
from cnnlab.program import program
from cnnlab.sweep.search import read_population, work
from cnnlab.sweep.space.space import read_params
from cnnlab.sweep.study.description import read_description
from cnnlab.sweep.study.plan import plan_config
from cnnlab.sweep.study.status import status_text
from cnnlab.sweep.study.study import open_study
from cnnlab.sweep.study.tables import best_table
from cnnlab.sweep.workers.command import WorkerCommand
from cnnlab.train.runtime import slurm
from cnnlab.train.runtime.signals import Interrupted
from cnnlab.units import value_text

_MOST_LISTED = 10_000
_DEFAULTS = {"sampler": "tpe", "pruner": "none", "repeats": 1, "seed": 0}


def run(values: flags.FlagValues, overrides: dict[str, str], positional: list[str]) -> int:
    """Runs, resumes or lists a study, or shows its progress."""
    launcher = read_launcher(values)
    population = read_population(values.population)
    if values.workers < 1:
        raise UserError(f"--workers={values.workers} must be at least 1.")
    folder = Path(values.study or f"runs/{Path(values.config or DEFAULT_EXPERIMENT).stem}_sweep")
    if values.workers > 1 or launcher != "local":
        # The devices are the workers', and would be short of memory if this process took its part.

        jax.config.update("jax_platforms", "cpu")
    share_compilation_cache()
    if values.status:
        return _status(folder, values)
    spec = _asked(folder, values, overrides)
    if values.dry_run:
        return _list_trials(spec, values)
    return _work(folder, spec, values, population)


def _asked(folder: Path, values: flags.FlagValues, overrides: dict[str, str]) -> Any:
    """The study that the flags describe; unset flags keep the values in its folder."""
    found = read_description(folder)
    saved = found and found.spec
    told = {name: values[name].value for name in _DEFAULTS}
    told = {name: value for name, value in told.items() if value is not None}
    if saved and not (values.config or overrides or values.param or values.constraint):
        return dataclasses.replace(saved, **told)
    if saved:
        if "config" not in saved.objective:
            raise UserError(f"{folder} is the study of a function, not of a config.")
        told = {name: getattr(saved, name) for name in _DEFAULTS} | told
    if values.config or not saved:
        config = resolve_config(values.config or DEFAULT_EXPERIMENT, overrides)
    else:
        config = from_json(saved.objective["config"])
        load_plugins(config.plugins)
        config = apply_overrides(config, overrides)
    params: Any = read_params(values.param)
    constraints = values.constraint
    if saved:
        params = params or read_params(["=".join(pair) for pair in saved.space])
        constraints = constraints or saved.constraints
    elif not params:
        params = load_sweep(values.config or DEFAULT_EXPERIMENT)
        if not params:
            raise UserError(
                "Name a hyper-parameter to search, e.g. --param='optimizer.learning_rate="
                "log(1e-3, 1)'; the experiment has no function sweep() that does."
            )
    options = _DEFAULTS | told
    return plan_config(config, params, constraints, **options, download=not values.dry_run)


def _list_trials(spec: Any, values: flags.FlagValues) -> int:
    count = spec.count_trials(values.trials)
    if count > _MOST_LISTED:
        raise UserError(f"trials={count}: a dry run lists at most {_MOST_LISTED:,} trials.")
    rows = spec.proposals(count)
    if values.json:
        print(json.dumps({"trials": rows}))
        return 0
    for number, row in enumerate(rows):
        if row is None:
            print(f"trials {number} to {len(rows) - 1}: {spec.sampler} decides by results")
            break
        print(f"trial {number}  " + "  ".join(f"{p}={value_text(x)}" for p, x in row.items()))
    each = f", each with {spec.repeats} seeds" if spec.repeats > 1 else ""
    print(f"{len(rows)} trials{each}; nothing was started.")
    return 0


def _status(folder: Path, values: flags.FlagValues) -> int:
    study = open_study(folder, None, storage_url=values.storage, trials=None)
    results = study.write_results()
    if values.json:
        print(json.dumps(_numbers(results)))
        return 0
    print(status_text(results))
    print(f"page: {folder}/study.html")
    return 0


def _numbers(results: Any) -> dict[str, Any]:
    best = results.best
    return {
        "metric": results.metric.name,
        "total": results.total,
        "counts": results.counts,
        "best": best
        and {
            "value": best.spread.mean,
            "repeats": best.spread.n,
            "trials": [trial.number for trial in best.trials],
            "params": dict(best.params),
        },
    }


def _work(folder: Path, spec: Any, values: flags.FlagValues, population: int) -> int:
    study = open_study(folder, spec, storage_url=values.storage, trials=values.trials)
    print(f"cnnlab: {study.headline()}")
    for path, text in study.spec.space:
        print(f"  {path} = {text}")
    for text in study.spec.constraints:
        print(f"  {text}")
    again = f"{program()} sweep --study={folder}"
    if values.workers > 1:
        again += f" --workers={values.workers}"
    if values.launcher == "ray":
        again += " ".join([" --launcher=ray", *(f"--ray={option}" for option in values.ray)])
    if values.launcher == "slurm":
        jobs = slurm.submit(
            WorkerCommand(
                study.folder.resolve(), study.storage_url, None, population, values.workers
            ),
            name=f"sweep-{study.name}",
            folder=study.folder / "logs",
            count=values.workers,
            options=values.slurm,
        )
        print(f"submitted: {', '.join(jobs)}\nnext:\n  {again} --status")
        return 0
    try:
        results = work(
            study,
            None,
            workers=values.workers,
            population=population,
            report=partial(print, flush=True),
            write=True,
            ray=values.ray if values.launcher == "ray" else None,
        )
    except Interrupted as stop:
        study.write_results()
        print(f"Stopped by a signal; everything is saved. Resume with: {again}", file=sys.stderr)
        return 128 + stop.signum
    results = study.write_results()
    if values.json:
        print(json.dumps(_numbers(results)))
    if results.best is None:
        reasons = [trial.reason for trial in results.with_state("failed")]
        raise UserError(f"No trial of {folder} is complete. The first failure: {reasons[0]}")
    if not values.json:
        print()
        console().print(best_table(results))
        print(
            f"\npage: {folder}/study.html  table: {folder}/trials.csv\n"
            f"\nnext:\n"
            f"  {program()} train --config={folder}/best.py --workdir={folder}/best\n"
            f"  {program()} sweep --study={folder} --trials={2 * results.total}"
        )
    return 0
