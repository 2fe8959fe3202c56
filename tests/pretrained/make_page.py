"""Writes the lists of docs/pretrained.md: `python -m tests.pretrained.make_page`."""

from pathlib import Path

from cnnlab.models import list_models
from cnnlab.pretrained.peers import LIBRARIES, peers_of, why_no_peer

PAGE = Path(__file__).parents[2] / "docs" / "pretrained.md"
BEGIN, END = "<!-- lists -->\n", "<!-- end of lists -->\n"


def lists():
    """Networks with what proves them, and those without a counterpart with the reason."""
    rows = ["| ours | torchvision | timm |", "|---|---|---|"]
    without = {}
    for name in list_models(task="classification"):
        if why := why_no_peer(name):
            without.setdefault(why, []).append(f"`{name}`")
            continue
        cells = ["<br>".join(map(_cell, peers_of(name, library))) for library in LIBRARIES]
        rows.append(f"| `{name}` | {' | '.join(cells)} |")
    reasons = [f"- {', '.join(names)}: {why}." for why, names in without.items()]
    return "\n".join([*rows, "", "Without a counterpart:", "", *reasons, ""])


def _cell(peer):
    options = ", ".join(f"{option}={value}" for option, value in peer.options.items())
    return f"`{peer.name}`" + (f" ({options})" if options else "")


def updated(page):
    """The page with its lists made anew."""
    before, rest = page.split(BEGIN)
    return before + BEGIN + lists() + END + rest.split(END)[1]


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text()))
