"""Draws the population in a folder."""

import json
from pathlib import Path

from cnnlab.report.population_figure import plot_population
from cnnlab.sweep.param_text import parse_param
from cnnlab.sweep.pbt_lineage import read_lineage
from cnnlab.train.records import read_rows
from cnnlab.train.whole_file import whole_file
from cnnlab.train.workdir import Workdir


def draw_population(folder: str | Path) -> Path:
    """Draws what `population_based_training` has left in a folder, to its population.png."""
    folder = Path(folder)
    plan = json.loads((folder / "population.json").read_text())
    result = json.loads((folder / "result.json").read_text())
    runs = sorted((folder / "members").iterdir())
    end = result["members"][result["best_member"]]["checkpoint_step"]
    metric = result["metric_name"]
    curves = [
        {
            row["step"]: row[metric]
            for row in read_rows(Workdir(run).metrics)
            if row["split"] == "validation"
        }
        for run in runs
    ]
    ranges = {path: parse_param(text) for path, text in plan["space"].items()}
    figure = plot_population(
        metric,
        curves,
        [read_lineage(run) for run in runs],
        result["schedule"],
        end=end,
        logarithmic=frozenset(path for path, param in ranges.items() if param.log),
    )
    picture = folder / "population.png"
    with whole_file(picture) as temporary:
        figure.savefig(temporary, format="png")
    return picture
