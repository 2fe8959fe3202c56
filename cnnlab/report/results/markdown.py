"""Rows of results as Markdown."""

from collections.abc import Sequence

from cnnlab.report.results.published import Published
from cnnlab.report.results.rows import ResultRow
from cnnlab.tasks.words import SHARES, metric_words
from cnnlab.units import short_count

_COLUMNS = ("experiment", "network", "test score", "seeds", "epochs", "parameters", "MACs",
            "seconds", "device", "published", "command")  # fmt: skip


def markdown_tables(rows: Sequence[ResultRow]) -> str:
    """Returns a captioned table for each data set and metric among the rows, in their order."""
    groups: dict[tuple[str, str], list[ResultRow]] = {}
    for row in rows:
        groups.setdefault((row.data, row.metric), []).append(row)
    return "\n".join(_table(*key, members) for key, members in groups.items())


def _table(data: str, metric: str, rows: list[ResultRow]) -> str:
    unit = ", in percent" if metric in SHARES else ""
    lines = [
        f"`{data}`: {metric_words(metric)} on the test split{unit}; mean ± standard deviation over "
        "seeds. MACs are multiply-accumulates for one image; seconds of training are a mean over "
        "seeds.",
        "",
        _line(_COLUMNS),
        "|" + "---|" * len(_COLUMNS),
        *(_line(_cells(row)) for row in rows),
    ]
    return "\n".join(lines) + "\n"


def _cells(row: ResultRow) -> list[str]:
    mean, sd = row.score()
    seconds = sum(row.seconds) / len(row.seconds)
    return [
        row.title,
        f"`{row.network}`",
        _number(mean, row.metric) + ("" if sd is None else f" ± {_number(sd, row.metric)}"),
        str(len(row.seeds)),
        "" if row.epochs is None else f"{row.epochs:g}",
        f"{row.parameters:,}",
        "" if row.macs is None else short_count(row.macs),
        f"{seconds:.0f}" if seconds >= 10 else f"{seconds:.1f}",
        row.device,
        "; ".join(map(_published, row.published)),
        f"`{row.command}`" if row.command else "",
    ]


def _number(value: float | None, metric: str) -> str:
    if value is None:
        return ""
    return f"{100 * value:.2f}" if metric in SHARES else f"{value:.4f}"


def _published(entry: Published) -> str:
    where = f"{entry.note}; {entry.source}" if entry.note else entry.source
    return f"{entry.score:g} ({where})"


def _line(cells: Sequence[str]) -> str:
    escaped = (cell.replace("|", r"\|").replace("\n", " ") for cell in cells)
    return f"| {' | '.join(escaped)} |"
