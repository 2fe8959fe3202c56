"""Runs `launch.py pbt`; its help and its flags are `cnnlab.cli.flags.pbt`."""

import json
import sys
from pathlib import Path
from typing import Any

from absl import flags

from cnnlab.cli.config_flags import DEFAULT_EXPERIMENT, resolve_config
from cnnlab.cli.jax_setup import enable_compilation_cache
from cnnlab.errors import UserError
from cnnlab.program import program
from cnnlab.sweep import population_based_training
from cnnlab.sweep.pbt.picture import draw_population
from cnnlab.sweep.space.space import read_params
from cnnlab.train.runtime.signals import Interrupted


def run(values: flags.FlagValues, overrides: dict[str, str], positional: list[str]) -> int:
    """Trains a population, draws it, and prints the best member's schedule."""
    if values.every_steps is None:
        raise UserError("Set --every_steps, the updates between two rounds, e.g. 100.")
    config = resolve_config(values.config, overrides)
    folder = Path(values.study or f"runs/{Path(values.config or DEFAULT_EXPERIMENT).stem}_pbt")
    enable_compilation_cache()
    space = _space(read_params(values.param))
    try:
        result = population_based_training(
            config,
            space,
            folder,
            every_steps=values.every_steps,
            members=values.members,
            truncation=values.truncation,
            resample=values.resample,
            mode=values.mode,
        )
    except Interrupted as stop:
        print(f"{stop} The same command resumes it.", file=sys.stderr)
        return 128 + stop.signum
    draw_population(folder)
    if values.json:
        print(json.dumps(result))
        return 0
    best = result["best_member"]
    print(f"\nbest: member {best}, {result['metric']:.4g} on the validation split; its schedule:")
    for row in result["schedule"]:
        numbers = "  ".join(f"{path}={value:.3g}" for path, value in row["numbers"].items())
        print(f"  from step {row['step']:<6} {numbers}")
    print(
        f"  picture: {folder}/population.png\n"
        f"\nnext:\n"
        f"  {program()} eval --workdir={folder}/members/{best:02}"
    )
    return 0


def _space(params: list[tuple[str, Any]]) -> dict[str, Any]:
    space = dict(params)
    if len(space) < len(params):
        double = next(path for path, _ in params if [p for p, _ in params].count(path) > 1)
        raise UserError(f"--param={double}=... is there twice.")
    return space
