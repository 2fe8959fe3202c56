"""Population-based training (Jaderberg et al. 2017, arXiv:1711.09846): numbers that change on the
way, found by copying those who do well.

The members train side by side, or take turns where that is faster. Every so many steps the worst
take over weights and optimizer state of the best, with changed numbers. What comes out is a
network, and a schedule of its learning rate, decay, dropout, ..., in the time that it takes to
train each member once.
"""

import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnnlab.config import Config
from cnnlab.errors import UserError
from cnnlab.sweep.param import Float
from cnnlab.sweep.param_text import parse_param
from cnnlab.sweep.pbt_lineage import Lineage, ancestry, read_lineage
from cnnlab.sweep.pbt_plan import Plan
from cnnlab.sweep.pbt_rounds import Population
from cnnlab.sweep.population import Mode
from cnnlab.sweep.population_choice import choose, obstacle
from cnnlab.sweep.population_rows import rows_of
from cnnlab.sweep.population_run import Member
from cnnlab.sweep.population_turns import Turns
from cnnlab.train import Programs, load_data
from cnnlab.train.checkpoint import CheckpointReader
from cnnlab.train.display import Display, PlainDisplay, Silence
from cnnlab.train.interrupts import StopRequests
from cnnlab.train.workdir import Workdir


def population_based_training(
    config: Config,
    space: Mapping[str, str | Float],
    workdir: str | Path,
    *,
    every_steps: int,
    members: int = 8,
    truncation: float = 0.2,
    resample: float = 0.25,
    mode: Mode = "auto",
    display: Display | None = None,
) -> dict[str, Any]:
    """Trains a population whose worst members copy the best, or goes on with it.

    Reproducible: all draws follow from `config.seed`; so an interrupted call that is repeated gives
    what an unbroken one gives, up to rounding.

    Args:
      config: the experiment; its metric on the validation split says who is best.
      space: ranges by path in the config, `"log(1e-3, 1)"` or `"uniform(0, 0.5)"`, of numbers that
        can be traced (`cnnlab.train.numbers`).
      workdir: folder; `members/00`, ... in it are ordinary runs, each with a `lineage.jsonl`.
      every_steps: distance between two rounds of evaluation and copying.
      members: how many.
      truncation: share of the members that copy, and of those that are copied.
      resample: probability that a copy's number is drawn anew instead of perturbed.
      mode: see `fit_group`.
      display: told of each round; None prints.

    Returns:
      `best_member`, its `metric` (`metric_name`) on the validation split, `schedule`: the numbers
      that its best network was trained with (see `cnnlab.sweep.pbt_lineage.ancestry`), and
      `members`: the result of each, as `fit` returns it, or the reason why there is none. Also
      written to result.json.

    Raises:
      UserError: a mistake in what is asked for; all members have diverged.
      Interrupted: SIGTERM or SIGINT; the states of all are saved.
    """
    space = {p: parse_param(v) if isinstance(v, str) else v for p, v in space.items()}
    for path, param in space.items():
        if not isinstance(param, Float):
            raise UserError(f"'{path}': {param} is not a range such as log(1e-3, 1).")
    plan = Plan(config, space, members, every_steps, truncation, resample)
    folder = Workdir(workdir)
    folder.create()
    _check_same(folder, plan)
    dataset = load_data(config)
    configs = plan.configs(dataset.info.num_examples["train"])
    programs = Programs(configs[0], dataset)
    impossible = obstacle(programs)
    if impossible is not None:
        raise UserError(f"These members cannot be trained together: {impossible}.")
    if programs.split != "validation":
        raise UserError("Members are compared on a validation split: set data.validation_fraction.")
    if mode == "auto":
        mode = choose(programs, members).mode
    folder.write("population.json", plan.describe())
    with StopRequests() as stop, contextlib.ExitStack() as resources:
        runs = [folder.path / "members" / f"{number:02}" for number in range(members)]
        start = _common_step(runs)
        found = [Member(programs, own, run) for own, run in zip(configs, runs, strict=True)]
        for member in found:
            member.open(resources, Silence(), at=start)
        lineages = [Lineage(run, start) for run in runs]
        engine = rows_of(programs, members) if mode == "vmap" else Turns(programs, members)
        resources.callback(engine.clear)
        population = Population(
            plan, programs, found, lineages, engine, stop, display or PlainDisplay()
        )
        population.train()
        result = population.judge()
    best = result["best_member"]
    saved = result["members"][best]["checkpoint_step"]
    result["schedule"] = ancestry([read_lineage(run) for run in runs], best, saved)
    folder.write("result.json", result)
    return result


def _check_same(folder: Workdir, plan: Plan) -> None:
    path = folder.path / "population.json"
    if not path.is_file():
        return
    saved, asked = json.loads(path.read_text()), json.loads(json.dumps(plan.describe()))
    different = sorted(name for name in asked if saved.get(name) != asked[name])
    if different:
        raise UserError(
            f"{folder.path} holds a population with another {' and '.join(different)}: choose "
            "another folder, or ask for the same to go on with it."
        )


def _common_step(runs: Sequence[Path]) -> int:
    """The latest step that all members have saved; a kill may have come between two saves."""
    steps = [set(CheckpointReader(run).steps()) if run.is_dir() else set() for run in runs]
    return max(set.intersection(*steps), default=0)
