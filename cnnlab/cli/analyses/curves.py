"""Training curves of several runs, grouped by configuration."""

from cnnlab.analysis.curves import Spread, curve, group_by_seed, group_labels, spread
from cnnlab.cli.analyses.request import AnalysisResult
from cnnlab.errors import UserError
from cnnlab.report.figures.run_curves import plot_run_curves
from cnnlab.tasks.build import metric_of
from cnnlab.train.callbacks.json_lines import read_rows
from cnnlab.train.runtime.workdir import Workdir

_NUMBERS = ("loss", "accuracy", "miou")  # beside the metrics that pick the best checkpoints


def curves(folders: list[str]) -> AnalysisResult:
    """The metrics of training and validation over epochs, with the spread of each group of runs.

    Args:
      folders: folders of runs, finished or not.

    Raises:
      UserError: a folder has no run, or no run has a curve.
    """
    if not folders:
        raise UserError("analyze curves needs the folders of runs.")
    configs = [Workdir(folder).config() for folder in folders]
    rows = [read_rows(Workdir(folder).metrics) for folder in folders]
    groups = group_by_seed(configs)
    labels = group_labels(configs, groups)
    panels: dict[str, dict[str, Spread]] = {}
    for number in dict.fromkeys([*_NUMBERS, *map(metric_of, configs)]):
        for split in ("train", "validation", "test"):
            found = {}
            for label, group in zip(labels, groups, strict=True):
                together = spread([curve(rows[member], split, number) for member in group])
                if len(together.x) > 1:  # a single point is no curve
                    found[label] = together
            if found:
                panels[f"{split} {number}"] = found
    if not panels:
        raise UserError(f"There are no curves in {', '.join(folders)}: no run has two rows yet.")
    arrays = {
        f"{group}/{panel}/{name}": array
        for panel, groups in panels.items()
        for group, found in groups.items()
        for name, array in found._asdict().items()
    }
    numbers = {
        f"{panel} at the end": {
            group: {"mean": float(found.mean[-1]), "std": float(found.std[-1]),
                    "runs": int(found.count[-1])}
            for group, found in groups.items()
        }
        for panel, groups in panels.items()
    }  # fmt: skip
    return AnalysisResult(plot_run_curves(panels), arrays, numbers)
