r"""Search hyper-parameters: many trials of one experiment, on one machine or many.

usage: python launch.py sweep --config=EXPERIMENT --param=PATH=RANGE ... [--study=FOLDER] [FLAGS]

  python launch.py sweep --config=lenet_digits --param='optimizer.learning_rate=log(1e-3, 1)' \
      --param='model.name=[lenet, mlp]' --trials=24 --pruner=asha --workers=2
  python launch.py sweep --study=runs/lenet_digits_sweep            goes on with that study
  python launch.py sweep --study=runs/lenet_digits_sweep --status   tells how it stands
  python launch.py sweep --study=FOLDER --storage=postgresql://USER@HOST/DB ...
                                        the same command on each machine joins one study

Ranges: log(a, b), uniform(a, b), int(a, b), logint(a, b); lists: [a, b, c], range(n),
linspace(a, b, n), geomspace(a, b, n); for some trials only: '... if model.name == mlp'. Without
--param, what the experiment's function sweep() returns is searched.

A study is a folder. Every trial is an ordinary run in it, under trials/. The same command on that
folder goes on where it was stopped, by Ctrl-C or kill -9; one that contradicts it stops and shows
the difference. More --trials extend it.
"""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

from absl import flags

from cnnlab.cli.arguments import refuse_positional
from cnnlab.cli.config_flags import DEFAULT_EXPERIMENT, define_config_flag, resolve_config
from cnnlab.cli.launcher import define_launcher_flags, on_slurm
from cnnlab.cli.platform import share_compilation_cache
from cnnlab.config import apply_overrides, from_json, load_sweep
from cnnlab.errors import UserError

_DEFAULTS = {"sampler": "tpe", "pruner": "none", "repeats": 1, "seed": 0}


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of this command."""
    define_config_flag(values, default=None)

    def text(name: str, default: str | None, meaning: str) -> None:
        flags.DEFINE_string(name, default, meaning, flag_values=values)

    def number(name: str, default: int | None, meaning: str) -> None:
        flags.DEFINE_integer(name, default, meaning, flag_values=values)

    text("study", None, "Folder of the study; runs/EXPERIMENT_sweep where unset.")
    flags.DEFINE_multi_string("param", [], "PATH=RANGE of a hyper-parameter", flag_values=values)
    flags.DEFINE_multi_string(
        "constraint",
        [],
        "Condition that every trial fulfils, e.g. 'optimizer.learning_rate * batch_size <= 64'",
        flag_values=values,
    )
    number("trials", None, "How many; unset takes all of a grid, or of lists.")
    text("sampler", None, "grid, random, sobol, tpe, tpe(startup=N) or cmaes; tpe where unset.")
    text(
        "pruner",
        None,
        "Ends bad trials early: none, median(first=N, startup=N), asha(first=N, factor=N) or "
        "hyperband(factor=N), with evaluations counted from 1; none where unset.",
    )
    number("repeats", None, "Runs of each trial with seeds that count up; 1 where unset.")
    number("seed", None, "Of the sampler; 0 where unset. That of the runs is --config.seed.")
    number("workers", 1, "Processes, which share the machine's processors and devices.")
    text(
        "population",
        "auto",
        "How many trials that differ only in numbers that can be traced (learning rate, decay, "
        "dropout, augmentation, seed, ...) may be trained side by side in one program: auto, where "
        "that is faster; off; or a number.",
    )
    number(
        "lag",
        None,
        "Trial n depends on trials up to n - LAG only, so that the study is the same whichever "
        "worker is faster, and whatever dies; 0 takes what is known at the moment. Where unset, "
        "the number of workers.",
    )
    text("storage", None, "postgresql://USER@HOST/DATABASE, for a study on many machines.")
    define_launcher_flags(values, slurm="each worker is a job of a Slurm array")
    flags.DEFINE_bool("dry_run", False, "List the trials, and start none.", flag_values=values)
    flags.DEFINE_bool("status", False, "Tell how the study stands.", flag_values=values)
    flags.DEFINE_bool("json", False, "Print one JSON object, last.", flag_values=values)


def run(values: flags.FlagValues, overrides: dict[str, str], positional: list[str]) -> int:
    """Runs, continues, lists or tells of a study."""
    refuse_positional("sweep", positional)
    jobs = on_slurm(values)
    from cnnlab.sweep.run import read_population

    population = read_population(values.population)
    if values.workers < 1:
        raise UserError(f"--workers={values.workers} must be at least 1.")
    folder = Path(values.study or f"runs/{Path(values.config or DEFAULT_EXPERIMENT).stem}_sweep")
    if values.workers > 1 or jobs:
        # The devices are the workers', and would be short of memory if this process took its part.
        import jax

        jax.config.update("jax_platforms", "cpu")
    share_compilation_cache()
    if values.status:
        return _status(folder, values)
    spec = _asked(folder, values, overrides)
    if values.dry_run:
        return _list_trials(spec, values)
    return _work(folder, spec, values, population)


def _asked(folder: Path, values: flags.FlagValues, overrides: dict[str, str]) -> Any:
    """The study that the flags describe; where they say nothing, it is as the folder has it."""
    from cnnlab.sweep.description import read_description
    from cnnlab.sweep.plan import plan_config
    from cnnlab.sweep.space import read_params

    found = read_description(folder)
    saved = found and found[0]
    told = {name: values[name].value for name in _DEFAULTS}
    told = {name: value for name, value in told.items() if value is not None}
    if values.lag is not None:
        told["lag"] = values.lag or None
    if saved and not (values.config or overrides or values.param or values.constraint):
        return dataclasses.replace(saved, **told)
    lag = values.workers
    if saved:
        if "config" not in saved.objective:
            raise UserError(f"{folder} is the study of a function, not of a config.")
        told = {name: getattr(saved, name) for name in _DEFAULTS} | told
        lag = saved.lag
    if values.config or not saved:
        config = resolve_config(values.config or DEFAULT_EXPERIMENT, overrides)
    else:
        config = apply_overrides(from_json(saved.objective["config"]), overrides)
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
    return plan_config(config, params, constraints, **({"lag": lag} | _DEFAULTS | told))


def _list_trials(spec: Any, values: flags.FlagValues) -> int:
    from cnnlab.report.study_data import value_text

    rows = spec.proposals(spec.count_trials(values.trials))
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
    from cnnlab.sweep.status import status_text
    from cnnlab.sweep.study import open_study

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
    from rich.console import Console

    from cnnlab.sweep.run import work
    from cnnlab.sweep.study import open_study
    from cnnlab.sweep.tables import best_table
    from cnnlab.train.interrupts import Interrupted

    study = open_study(folder, spec, storage_url=values.storage, trials=values.trials)
    print(f"cnnlab: {study.headline()}")
    for path, text in study.spec.space:
        print(f"  {path} = {text}")
    for text in study.spec.constraints:
        print(f"  {text}")
    again = f"python launch.py sweep --study={folder}"
    if values.workers > 1:
        again += f" --workers={values.workers}"
    if on_slurm(values):
        from cnnlab.sweep.slurm import submit

        jobs = submit(study, workers=values.workers, population=population, options=values.slurm)
        print(f"submitted: {', '.join(jobs)}\nnext:\n  {again} --status")
        return 0
    try:
        results = work(
            study,
            None,
            workers=values.workers,
            population=population,
            report=_print,
            write=True,
        )
    except Interrupted as stop:
        study.write_results()
        print(f"Stopped by a signal; all is saved. Go on with: {again}", file=sys.stderr)
        return 128 + stop.signum
    results = study.write_results()
    if values.json:
        print(json.dumps(_numbers(results)))
    if results.best is None:
        reasons = [trial.reason for trial in results.with_state("failed")]
        raise UserError(f"No trial of {folder} is complete. The first failure: {reasons[0]}")
    if not values.json:
        print()
        Console().print(best_table(results))
        print(
            f"\npage: {folder}/study.html  table: {folder}/trials.csv\n"
            f"\nnext:\n"
            f"  python launch.py train --config={folder}/best.py --workdir={folder}/best\n"
            f"  python launch.py sweep --study={folder} --trials={2 * results.total}"
        )
    return 0


def _print(line: str) -> None:
    print(line, flush=True)
