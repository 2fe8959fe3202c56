"""Curves of several runs, grouped if they differ only by seed, with their spread."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from cnnlab.config import Config, flat_fields, is_execution_field
from cnnlab.train.callbacks.json_lines import Row
from cnnlab.units import value_text
from cnnlab.visible import visible

UNSET = "unset"  # an option that one config has and another has not

Curve = tuple[np.ndarray, np.ndarray]


class Spread(NamedTuple):
    """Mean and spread of several curves; arrays are [points].

    Attributes:
      x: all positions at which at least one curve has a value.
      mean: mean over the curves with a value there.
      std: sample standard deviation; 0 for a single value.
      low: smallest value.
      high: largest value.
      count: number of curves with a value.
    """

    x: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    low: np.ndarray
    high: np.ndarray
    count: np.ndarray


def group_by_seed(configs: Sequence[Config]) -> list[list[int]]:
    """Groups the indices of configs that differ only by seed and execution fields."""
    groups: dict[str, list[int]] = {}
    for number, config in enumerate(configs):
        fields = {
            path: value
            for path, value in flat_fields(config).items()
            if path != "seed" and not is_execution_field(path)
        }
        groups.setdefault(repr(sorted(fields.items())), []).append(number)
    return list(groups.values())


def differing_fields(configs: Sequence[Config]) -> dict[str, list[Any]]:
    """Returns the fields in which configs differ, by path, with the value in each config."""
    flat = [flat_fields(config) for config in configs]
    table = {path: [fields.get(path, UNSET) for fields in flat]
             for path in sorted(set().union(*flat))}  # fmt: skip
    return {path: values for path, values in table.items() if any(v != values[0] for v in values)}


def curve(rows: Sequence[Row], split: str, name: str) -> Curve:
    """Returns epochs and values of one metric of one split from rows of `read_rows`."""
    points = [
        (row["epoch"], row[name])
        for row in rows
        if row["split"] == split and row.get(name) is not None
    ]
    x, y = np.array(points, np.float64).reshape(-1, 2).T
    return x, y


def spread(curves: Sequence[Curve]) -> Spread:
    """Combines curves at each position without interpolation."""
    values: dict[float, list[float]] = {}
    for x, y in curves:
        for place, value in zip(x.tolist(), y.tolist(), strict=True):
            values.setdefault(place, []).append(value)
    places = sorted(values)
    rows = [
        (np.mean(v), np.std(v, ddof=1) if len(v) > 1 else 0.0, min(v), max(v), len(v))
        for v in (values[place] for place in places)
    ]
    columns = np.array(rows, np.float64).reshape(-1, 5).T
    return Spread(np.array(places), *columns[:4], columns[4].astype(int))


def group_labels(configs: Sequence[Config], groups: Sequence[Sequence[int]]) -> list[str]:
    """Labels of groups by what distinguishes them: model, data if they differ, and fields.

    Groups with the same model and data are labelled by all fields that differ, or, if these are
    more than three, by as many as distinguish the groups: `lenet learning_rate=0.1`.

    Args:
      configs: configs of all runs.
      groups: groups from `group_by_seed`.
    """
    firsts = [configs[group[0]] for group in groups]
    one_data_set = len({config.data.name for config in firsts}) == 1
    alike: dict[str, list[int]] = {}
    for number, config in enumerate(firsts):
        name = config.model.name + ("" if one_data_set and len(groups) > 1 else
                                    f" on {visible(config.data.name)}")  # fmt: skip
        alike.setdefault(name, []).append(number)
    labels = [""] * len(groups)
    for name, members in alike.items():
        fields = {
            path: values
            for path, values in differing_fields([firsts[i] for i in members]).items()
            if path != "seed" and not is_execution_field(path)
        }
        chosen = fields if len(fields) <= 3 else _telling(fields)
        for place, number in enumerate(members):
            parts = [
                f"{path.rpartition('.')[2]}={value_text(values[place])}"
                for path, values in chosen.items()
                if values[place] != UNSET
            ]
            labels[number] = " ".join([name, *parts])
    return labels


def _telling(fields: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """The first subset of the fields that distinguishes groups as well as all fields."""
    chosen: dict[str, list[Any]] = {}

    def kinds(table: Mapping[str, list[Any]]) -> int:
        return len(set(map(repr, zip(*table.values(), strict=True))))

    while not chosen or kinds(chosen) < kinds(fields):
        rest = [path for path in fields if path not in chosen]
        best = max(rest, key=lambda path: kinds({**chosen, path: fields[path]}))
        chosen[best] = fields[best]
    return chosen
