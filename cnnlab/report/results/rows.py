"""One row per experiment from the folders of its runs, and the JSON file that keeps rows."""

import ast
import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cnnlab.analysis.curves import group_by_seed
from cnnlab.config import experiment_names
from cnnlab.errors import UserError
from cnnlab.models.catalog import BASELINES
from cnnlab.report.results.published import Published, published_of
from cnnlab.report.run_page.cost import run_cost
from cnnlab.report.run_page.reproduce import experiment_command, nearest_experiment
from cnnlab.report.run_page.run_record import RunRecord, find_runs, read_records
from cnnlab.report.run_page.tables import complete_by_seed, device_of, mean_sd
from cnnlab.storage.json_text import read_json
from cnnlab.storage.output_file import output_file
from cnnlab.train.callbacks.json_lines import warn


@dataclasses.dataclass(frozen=True)
class ResultRow:
    """The complete runs of one config, which differ by seed only.

    Attributes:
      title: what was trained: the first sentence of the experiment's file, or the names of network
        and data set if the runs belong to no experiment.
      network: name of the network.
      data: name of the data set.
      metric: name of the metric that picks a run's best checkpoint.
      test: metrics on the test split by name, one value for each of `seeds`.
      seeds: seeds of the runs.
      epochs: passes over the training split; None for a baseline, which has none.
      parameters: number of parameters.
      macs: multiply-accumulates for one image; None for a baseline.
      seconds: time of training in seconds, for each of `seeds`.
      device: kind of device, with the number where there are several.
      jax: versions of jax.
      revisions: git revisions of the code, sorted.
      command: arguments of the program that train the experiment; empty for runs of objects or of
        no experiment.
      published: scores that others have published for the experiment.
    """

    title: str
    network: str
    data: str
    metric: str
    test: dict[str, list[float | None]]
    seeds: list[int]
    epochs: float | None
    parameters: int
    macs: int | None
    seconds: list[float]
    device: str
    jax: list[str]
    revisions: list[str]
    command: str
    published: list[Published]

    def score(self, name: str | None = None) -> tuple[float | None, float | None]:
        """Returns mean and standard deviation (divisor n - 1) over seeds of a test metric.

        Args:
          name: name of the metric; `metric` by default.
        """
        return mean_sd(self.test.get(name or self.metric, []))

    def to_json(self) -> dict[str, Any]:
        """Returns the fields as JSON values, with `mean` and `sd` of every test metric."""
        scores = {name: self.score(name) for name in self.test}
        return dataclasses.asdict(self) | {
            "mean": {name: mean for name, (mean, _) in scores.items()},
            "sd": {name: sd for name, (_, sd) in scores.items()},
        }

    @classmethod
    def from_json(cls, tree: dict[str, Any]) -> "ResultRow":
        """Inverse of `to_json`; mean and standard deviation are computed anew.

        Raises:
          TypeError: fields are missing or unknown.
        """
        fields = {name: value for name, value in tree.items() if name not in ("mean", "sd")}
        published = [Published(**entry) for entry in fields.pop("published", [])]
        return cls(**fields, published=published)


def result_rows(
    folders: Sequence[str | Path], *, report: Callable[[str], None] = warn
) -> list[ResultRow]:
    """Returns a row for each config among runs, in the order of the folders.

    Args:
      folders: folders of runs, or folders that contain runs.
      report: called with a sentence about each run that is left out because it is not complete or
        repeats a seed.

    Raises:
      UserError: there is no complete run, or a config is damaged.
    """
    records = read_records(find_runs(folders))
    rows = []
    for group in group_by_seed([record.config for record in records]):
        members = [records[i] for i in group]
        complete = complete_by_seed(members)
        for record in members:
            if record.result is None:
                report(f"{record.name} is left out: it is {record.status}, not complete.")
            elif record not in complete:
                report(f"{record.name} is left out: an earlier run has seed {record.config.seed}.")
        if complete:
            rows.append(_row(sorted(complete, key=lambda record: record.config.seed)))
    if not rows:
        raise UserError("No run is complete: train one to its end first.")
    return rows


def merge_rows(
    rows: Sequence[ResultRow], *, report: Callable[[str], None] = warn
) -> list[ResultRow]:
    """Returns rows of which those of one command are one, with the seeds of all.

    Args:
      rows: in the order in which they are wanted; of a seed that comes twice, the first counts.
      report: called with a sentence about each seed that is left out.
    """
    merged: dict[tuple, ResultRow] = {}
    for row in rows:
        key = (row.command or row.title, row.data, row.metric, row.epochs, row.parameters)
        if key not in merged:
            merged[key] = row
            continue
        first = merged[key]
        new = [i for i, seed in enumerate(row.seeds) if seed not in first.seeds]
        for seed in sorted(set(row.seeds) & set(first.seeds)):
            report(f"Seed {seed} of '{key[0]}' is left out: an earlier row has it.")
        merged[key] = _joined(first, row, new)
    return list(merged.values())


def _joined(first: ResultRow, other: ResultRow, taken: list[int]) -> ResultRow:
    """`first` with some of the seeds of another row."""
    seeds = first.seeds + [other.seeds[i] for i in taken]
    order = sorted(range(len(seeds)), key=seeds.__getitem__)

    def joined(one: list, two: list) -> list:
        values = one + [two[i] for i in taken]
        return [values[i] for i in order]

    return dataclasses.replace(
        first,
        seeds=joined(first.seeds, other.seeds),
        test={name: joined(first.test[name], other.test[name]) for name in first.test},
        seconds=joined(first.seconds, other.seconds),
        device=", ".join(sorted({*first.device.split(", "), *other.device.split(", ")} - {""})),
        jax=sorted({*first.jax, *other.jax}),
        revisions=sorted({*first.revisions, *other.revisions}),
    )


def write_rows(rows: Sequence[ResultRow], path: str | Path) -> None:
    """Writes rows as a JSON file that `read_rows` reads."""
    text = json.dumps([row.to_json() for row in rows], indent=2, ensure_ascii=False)
    with output_file(path) as temporary:
        temporary.write_text(f"{text}\n", encoding="utf-8")


def read_rows(path: str | Path) -> list[ResultRow]:
    """Reads the rows of a JSON file.

    Raises:
      UserError: the file cannot be read or is damaged.
    """
    try:
        return [ResultRow.from_json(entry) for entry in read_json(Path(path), list)]
    except (TypeError, AttributeError) as error:
        raise UserError(
            f"{path} is damaged: it must hold rows of results, and does not: {error}."
        ) from error


def _row(complete: list[RunRecord]) -> ResultRow:
    first = complete[0]
    config = first.config
    title, command, published = f"{config.model.name} on {config.data.name}", "", []
    found = None if config.objects else nearest_experiment(config)
    if found is not None:
        path = experiment_names()[found[0]]
        title, command = _first_sentence(path) or title, experiment_command(*found)
        published = published_of(path)
    starts = [record.starts[-1] for record in complete if record.starts]
    epochs = None
    if config.model.name not in BASELINES:
        epochs = round(max((row["epoch"] for row in first.rows), default=0.0), 2)
    return ResultRow(
        title=title,
        network=config.model.name,
        data=config.data.name,
        metric=first.metric,
        test={
            name: [record.result["test"].get(name) for record in complete]
            for name, value in first.result["test"].items()
            if isinstance(value, int | float | None)
        },
        seeds=[record.config.seed for record in complete],
        epochs=epochs,
        parameters=first.result["num_parameters"],
        macs=run_cost(first)["macs"],
        seconds=[record.result["seconds"] for record in complete],
        device=", ".join(sorted({device_of(record) for record in complete} - {""})),
        jax=sorted({start["versions"]["jax"] for start in starts}),
        revisions=sorted({str(start["git_revision"]) for start in starts}),
        command=command,
        published=published,
    )


def _first_sentence(experiment: Path) -> str:
    text = ast.get_docstring(ast.parse(experiment.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0].removesuffix(".")
