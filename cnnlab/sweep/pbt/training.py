"""Population-based training (Jaderberg et al. 2017, arXiv:1711.09846): numbers that change on the
way, found by copying the best members.

The members train side by side, or in turn if that is faster. At regular steps the worst copy
weights and optimizer state of the best, with perturbed numbers. The result is a network and a
schedule of its learning rate, decay, dropout, ..., in the time of training each member once.
"""

import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cnnlab.config import Config
from cnnlab.errors import UserError
from cnnlab.storage.json_text import read_json
from cnnlab.storage.object_store import refuse_url
from cnnlab.sweep.pbt.lineage import Lineage, ancestry, read_lineage
from cnnlab.sweep.pbt.plan import Plan
from cnnlab.sweep.pbt.rounds import Population
from cnnlab.sweep.population.choice import choose, obstacle
from cnnlab.sweep.population.fitting import Mode
from cnnlab.sweep.space.param import Float
from cnnlab.sweep.space.param_text import parse_param
from cnnlab.train import CompiledSteps, load_data
from cnnlab.train.callbacks.progress import Display, PlainDisplay
from cnnlab.train.checkpoints.writer import CheckpointReader
from cnnlab.train.engines.sequential import SequentialEngine
from cnnlab.train.engines.vmapped import VmapEngine
from cnnlab.train.loop import Loop
from cnnlab.train.member import Member
from cnnlab.train.runtime.signals import StopRequests
from cnnlab.train.runtime.workdir import Workdir


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
    """Trains a population whose worst members copy the best, or resumes one.

    All draws follow from `config.seed`, so an interrupted call that is repeated gives the same
    results as an uninterrupted one, up to rounding.

    Args:
      config: the experiment, whose metric on the validation split ranks members.
      space: ranges by path in the config, `"log(1e-3, 1)"` or `"uniform(0, 0.5)"`, of numbers that
        can be traced (`cnnlab.train.hparams`).
      workdir: folder; its `members/00`, ... are ordinary runs, each with a `lineage.jsonl`.
      every_steps: steps between two rounds of evaluation and copying.
      members: number of members.
      truncation: share of the members that copy, and of those that are copied.
      resample: probability that a copy's number is redrawn instead of perturbed.
      mode: `vmap`, `shared` or `auto`, as in `fit_group`.
      display: shows each round; None prints lines.

    Returns:
      `best_member`, its `metric` (`metric_name`) on the validation split, `schedule`: the numbers
      with which the best network was trained (`cnnlab.sweep.pbt.lineage.ancestry`), and `members`:
      the result of each from `fit`, or the reason why there is none. Also written to result.json.

    Raises:
      UserError: a mistake in the arguments, or all members have diverged.
      Interrupted: SIGTERM or SIGINT; all states are saved.
    """
    space = {p: parse_param(v) if isinstance(v, str) else v for p, v in space.items()}
    for path, param in space.items():
        if not isinstance(param, Float):
            raise UserError(f"'{path}': {param} is not a range such as log(1e-3, 1).")
    plan = Plan(config, space, members, every_steps, truncation, resample)
    refuse_url(workdir, "choose a local folder for the population")
    folder = Workdir(workdir)
    folder.create()
    _check_same(folder, plan)
    dataset = load_data(config)
    configs = plan.configs(dataset.info.num_examples["train"])
    compiled = CompiledSteps(configs[0], dataset)
    impossible = obstacle(compiled)
    if impossible is not None:
        raise UserError(f"These members cannot be trained together: {impossible}.")
    if compiled.split != "validation":
        raise UserError("Members are compared on a validation split: set data.validation_fraction.")
    if mode == "auto":
        mode = choose(compiled, members).mode
    folder.write("population.json", plan.describe())
    with StopRequests() as stop, contextlib.ExitStack() as resources:
        runs = [folder.path / "members" / f"{number:02}" for number in range(members)]
        start = _common_step(runs)
        found = [Member(compiled, own, run) for own, run in zip(configs, runs, strict=True)]
        for member in found:
            member.open(resources, at=start)
        lineages = [Lineage(run, start) for run in runs]
        engine = (
            VmapEngine(compiled, members) if mode == "vmap" else SequentialEngine(compiled, members)
        )
        resources.callback(engine.clear)
        population = Population(plan, found, lineages, display or PlainDisplay())
        loop = Loop(compiled, engine, found, stop, rounds=population)
        loop.train()
        for member in found:
            with member.ending():
                member.check_finite()
        loop.judge()
        result = population.result()
    best = result["best_member"]
    saved = result["members"][best]["checkpoint_step"]
    result["schedule"] = ancestry([read_lineage(run) for run in runs], best, saved)
    folder.write("result.json", result)
    return result


def _check_same(folder: Workdir, plan: Plan) -> None:
    path = folder.path / "population.json"
    if not path.is_file():
        return
    saved = read_json(path)
    asked = json.loads(json.dumps(plan.describe()))
    different = sorted(name for name in asked if saved.get(name) != asked[name])
    if different:
        raise UserError(
            f"{folder.path} holds a population with another {' and '.join(different)}: choose "
            "another folder, or ask for the same to go on with it."
        )


def _common_step(runs: Sequence[Path]) -> int:
    """The latest step that all members have saved, since a kill can come between two saves."""
    steps = [set(CheckpointReader(run).steps()) if run.is_dir() else set() for run in runs]
    return max(set.intersection(*steps), default=0)
