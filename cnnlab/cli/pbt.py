r"""Train a population whose worst members copy the best: a schedule of hyper-parameters in one go.

usage: python launch.py pbt --config=EXPERIMENT --param=PATH=RANGE ... --every_steps=N [FLAGS]

  python launch.py pbt --config=mlp_digits --param='optimizer.learning_rate=log(1e-4, 1e-1)' \
      --param='model.options.dropout_rate=uniform(0, 0.5)' --every_steps=100 --members=16

Every so many updates the members are evaluated on the validation split; the worst take over weights
and optimizer state of the best, and change their numbers a little (Jaderberg et al. 2017). Ranges:
log(a, b) and uniform(a, b), of numbers that do not change the program (docs/populations.md).

Members are ordinary runs in WORKDIR/members. The same command goes on where it was stopped.
"""

import json
import sys
from pathlib import Path
from typing import Any

from absl import flags

from cnnlab.cli.arguments import refuse_positional
from cnnlab.cli.config_flags import DEFAULT_EXPERIMENT, define_config_flag, resolve_config
from cnnlab.cli.platform import enable_compilation_cache
from cnnlab.errors import UserError


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of this command."""
    define_config_flag(values)
    flags.DEFINE_string(
        "workdir", None, "Folder; runs/EXPERIMENT_pbt where unset.", flag_values=values
    )
    flags.DEFINE_multi_string("param", [], "PATH=RANGE of a number", flag_values=values)
    flags.DEFINE_integer(
        "every_steps", None, "Updates between two rounds of copying.", flag_values=values
    )
    flags.DEFINE_integer("members", 8, "How many.", flag_values=values)
    flags.DEFINE_float(
        "truncation", 0.2, "Share of members that copy, and of those copied.", flag_values=values
    )
    flags.DEFINE_float(
        "resample",
        0.25,
        "Probability that a copy's number is drawn anew; else it is multiplied by 0.8 or 1.2.",
        flag_values=values,
    )
    flags.DEFINE_enum(
        "mode",
        "auto",
        ("auto", "vmap", "shared"),
        "Members side by side in one program, or one after the other; auto takes the faster.",
        flag_values=values,
    )
    flags.DEFINE_bool("json", False, "Print one JSON object, last.", flag_values=values)


def run(values: flags.FlagValues, overrides: dict[str, str], positional: list[str]) -> int:
    """Trains, draws, and shows the best network's schedule."""
    refuse_positional("pbt", positional)
    if values.every_steps is None:
        raise UserError("Set --every_steps, the updates between two rounds, e.g. 100.")
    config = resolve_config(values.config, overrides)
    folder = Path(values.workdir or f"runs/{Path(values.config or DEFAULT_EXPERIMENT).stem}_pbt")
    enable_compilation_cache()
    from cnnlab.sweep import population_based_training
    from cnnlab.sweep.pbt_picture import draw_population
    from cnnlab.sweep.space import read_params
    from cnnlab.train.interrupts import Interrupted

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
        print(f"{stop} The same command goes on.", file=sys.stderr)
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
        f"  python launch.py eval --workdir={folder}/members/{best:02}"
    )
    return 0


def _space(params: list[tuple[str, Any]]) -> dict[str, Any]:
    space = dict(params)
    if len(space) < len(params):
        double = next(path for path, _ in params if [p for p, _ in params].count(path) > 1)
        raise UserError(f"--param={double}=... is there twice.")
    return space
