"""The tables and cards of the report, as plain values for its template."""

import math
import shlex
from collections.abc import Sequence
from typing import Any

import numpy as np

from cnnlab.report.run_page.run_record import RunRecord
from cnnlab.tasks.words import NOTHING, metric_words, show_score
from cnnlab.units import short_count


def report_title(records: list[RunRecord], groups: list[list[int]], labels: list[str]) -> str:
    if len(groups) == 1:
        config = records[0].config
        seeds = f", {len(records)} seeds" if len(records) > 1 else ""
        return f"{config.model.name} on {config.data.name}{seeds}"
    data = sorted({record.config.data.name for record in records})
    return f"{len(groups)} configurations on {', '.join(data)}"


def rank_groups(records: list[RunRecord], groups: list[list[int]]) -> list[int]:
    """Returns the groups, best on validation first, then those without such a score.

    The test split is never used for ranking.
    """

    def key(number: int) -> tuple:
        scores = [records[i].best_validation for i in groups[number]]
        scores = [score for score in scores if score is not None]
        if not scores:
            return (1, 0.0)
        sign = -1 if records[groups[number][0]].higher_is_better else 1
        return (0, sign * float(np.mean(scores)))

    return sorted(range(len(groups)), key=key)


def group_row(label: str, members: list[RunRecord], cost: dict[str, int | None]) -> dict[str, Any]:
    """Returns the table row of runs that differ only by seed; it has the entries of `cost` too."""
    complete = complete_by_seed(members)
    scores = {}
    for name in complete[0].result["test"] if complete else ():
        scores[name] = mean_sd([record.result["test"].get(name) for record in complete])
    seconds = [record.result["seconds"] for record in complete]
    speeds = [r.images_per_second for r in members if r.images_per_second]
    params = complete[0].result["num_parameters"] if complete else cost["params"]
    return cost | {
        "label": label,
        "members": members,
        "complete": len(complete),
        "seeds": len({record.config.seed for record in members}),
        "scores": scores,
        "validation": mean_sd([record.best_validation for record in complete or members]),
        "metric": members[0].metric,
        "params": params,
        "seconds": float(np.mean(seconds)) if seconds else None,
        "images_per_second": float(np.median(speeds)) if speeds else None,
        "device": ", ".join(sorted({device_of(record) for record in members} - {""})),
    }


def complete_by_seed(members: list[RunRecord]) -> list[RunRecord]:
    """Returns the complete runs, one for each seed.

    Of several runs with one seed, as a trial that is trained again, the first counts: the second
    would make the spread too small.
    """
    by_seed: dict[int, RunRecord] = {}
    for record in members:
        if record.result is not None:
            by_seed.setdefault(record.config.seed, record)
    return list(by_seed.values())


def mean_sd(values: Sequence[float | None]) -> tuple[float | None, float | None]:
    """Returns mean and standard deviation, divisor n - 1, of the values that are known."""
    known = [value for value in values if value is not None]
    if not known:
        return None, None
    return float(np.mean(known)), float(np.std(known, ddof=1)) if len(known) > 1 else None


def device_of(record: RunRecord) -> str:
    """Returns the device of a run's last start, e.g. `2 x cpu`; empty if it is not known."""
    if not record.starts:
        return ""
    start = record.starts[-1]
    count = record.config.num_devices or len(start.get("devices", [1]))
    kind = str(start.get("device_kind", ""))
    return f"{count} x {kind}" if count > 1 else kind


def run_order(record: RunRecord) -> tuple:
    """Sort key of runs: complete ones first, best on validation first."""
    score, sign = record.best_validation, -1 if record.higher_is_better else 1
    return (record.result is None, math.inf if score is None else sign * score)


def test_metrics(records: list[RunRecord]) -> list[str]:
    """Returns the names of test metrics, those that pick the best checkpoint first."""
    names = [record.metric for record in records if record.result]
    for record in records:
        names += list(record.result["test"]) if record.result else []
    return list(dict.fromkeys(names))


def environment_rows(record: RunRecord) -> dict[str, str]:
    """Returns the environment of a run's last start as rows of a table."""
    if not record.starts:
        return {}
    start = record.starts[-1]
    rows = {
        "started": str(record.starts[0].get("time", "")),
        "times started": str(len(record.starts)),
        "git revision": str(start.get("git_revision") or "not in a repository"),
        "device": f"{start.get('device_kind', '')} ({len(start.get('devices', []))})",
        "platform": str(start.get("platform", "")),
        "python": str(start.get("python", "")),
        **{str(name): str(version) for name, version in start.get("versions", {}).items()},
        "command": shlex.join(map(str, start.get("command", []))),
    }
    return rows


def result_cards(records: list[RunRecord], groups: list[dict[str, Any]]) -> list[dict[str, str]]:
    """Returns the headline numbers: the best configuration, number of runs, time, data.

    Args:
      records: all runs.
      groups: their rows from `group_row`, the best first.
    """
    cards = []
    seen = set()
    for group in groups:
        config = group["members"][0].config
        place = (config.task, config.data.name)
        mean, sd = group["scores"].get(group["metric"], (None, None))
        if place in seen or mean is None:
            continue
        seen.add(place)
        chosen = "" if len(groups) == 1 else ", best on validation"
        cards.append(
            {
                "what": f"Test {metric_words(group['metric'])}{chosen}",
                "value": show_score(mean, group["metric"]),
                "small": "" if sd is None else f"± {show_score(sd, group['metric'])}",
                "about": group["label"]
                + ("" if sd is None else f"; ±: sd over {group['complete']} seeds"),
            }
        )
    complete = sum(record.result is not None for record in records)
    seconds = sum(record.result["seconds"] for record in records if record.result)
    unfinished = [record for record in records if record.result is None]
    if len(records) > 1 or unfinished:
        cards.append(
            {
                "what": "Runs complete",
                "value": str(complete),
                "small": f"of {len(records)}",
                "about": ", ".join(f"{r.name}: {r.status}" for r in unfinished[:3]),
            }
        )
    if complete:
        cards.append(
            {
                "what": "Training time" if len(records) == 1 else "Training time in all",
                "value": show_duration(seconds),
                "small": "",
                "about": groups[0]["device"] if len({g["device"] for g in groups}) == 1 else "",
            }
        )
    infos = [record.info for record in records if record.info is not None]
    for name in dict.fromkeys(info.name for info in infos):
        info = next(info for info in infos if info.name == name)
        splits = ", ".join(f"{count:,} {split}" for split, count in info.num_examples.items())
        shape = "x".join(map(str, info.image_shape))
        about = f"{info.num_classes} classes, {shape} pixels; {splits}"
        cards.append({"what": "Data", "value": info.name, "small": "", "about": about})
    return cards


def show_big(number: float | None) -> str:
    return NOTHING if number is None else short_count(number)


def show_bytes(number: float | None) -> str:
    return NOTHING if number is None else f"{show_big(number)}B"


def show_duration(seconds: float | None) -> str:
    if seconds is None:
        return NOTHING
    if seconds < 120:
        return f"{seconds:.3g} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def color_of(group: int) -> str:
    """Color of a group of runs, as CSS has it."""
    return f"var(--c{group})" if group < 8 else f"hsl({group * 137.5 % 360} 60% 50%)"
