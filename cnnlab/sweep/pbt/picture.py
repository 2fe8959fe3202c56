"""Draws the population in a folder."""

from pathlib import Path

from cnnlab.report.figures.population import plot_population
from cnnlab.storage.atomic_write import atomic_write
from cnnlab.storage.json_text import read_json
from cnnlab.sweep.pbt.lineage import read_lineage
from cnnlab.sweep.space.param_text import parse_param
from cnnlab.train.callbacks.json_lines import read_rows
from cnnlab.train.runtime.workdir import Workdir


def draw_population(folder: str | Path) -> Path:
    """Draws the results of `population_based_training` in a folder to population.png."""
    folder = Path(folder)
    plan = read_json(folder / "population.json")
    result = read_json(folder / "result.json")
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
    with atomic_write(picture) as temporary:
        figure.savefig(temporary, format="png")
    return picture
