"""Writes the lists of docs/pretrained.md: `python -m tests.pretrained.make_page`."""

import fnmatch
from pathlib import Path

from cnnlab.models import list_models
from cnnlab.pretrained.peers import peers_of, why_no_peer

PAGE = Path(__file__).parents[2] / "docs" / "pretrained.md"
BEGIN, END = "<!-- lists -->\n", "<!-- end of lists -->\n"


def lists():
    """Networks with what proves them, and those without a counterpart with the reason."""
    rows = ["| ours | torchvision | timm |", "|---|---|---|"]
    for name in list_models(task="classification"):
        cells = ["<br>".join(map(_cell, peers_of(name, lib))) for lib in ("torchvision", "timm")]
        if any(cells):
            rows.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join([*rows, "", *_segmenters(), "", *_without("classification"), ""])


def _segmenters():
    rows = ["| ours | torchvision | segmentation_models_pytorch |", "|---|---|---|"]
    found = {
        name: [peer.name.split("-", 1) for peer in peers_of(name, "smp")]
        for name in list_models(task="segmentation")
    }
    # DPT reads blocks of ViTs, which have no pyramid for the others.
    vits = [encoder for _, encoder in found["dpt"]]
    encoders = dict.fromkeys(
        encoder for pairs in found.values() for _, encoder in pairs if encoder not in vits
    )
    for name, pairs in found.items():
        theirs = ", ".join(f"`{peer.name}`" for peer in peers_of(name, "torchvision"))
        smp = f"`{pairs[0][0]}`" if pairs else ""
        missing = set(encoders) - {encoder for _, encoder in pairs}
        if name == "dpt":
            smp += " on " + ", ".join(f"`{encoder}`" for encoder in vits)
        elif pairs and missing:
            smp += f", not on {' and '.join(_summed_up(missing, encoders))}"
        if theirs or smp:
            rows.append(f"| `{name}` | {theirs} | {smp} |")
    listed = ", ".join(f"`{encoder}`" for encoder in encoders)
    return [*rows, "", f"Encoders of segmentation_models_pytorch: {listed}.", "",
            *_without("segmentation")]  # fmt: skip


def _summed_up(names, all_names):
    """A pattern in the place of all names that fit it, where none of these is missing."""
    rest = set(names)
    patterns = ("tu-*", "tu-regnety_*", "vgg*", "densenet*", "efficientnet-*", "timm-*", "mit_b*")
    for pattern in patterns:
        fitting = set(fnmatch.filter(all_names, pattern))
        if fitting <= rest:
            rest = rest - fitting | {pattern}
    return [f"`{name}`" for name in sorted(rest)]


def _without(task):
    reasons = {}
    for name in list_models(task=task):
        if why := why_no_peer(name):
            reasons.setdefault(why, []).append(f"`{name}`")
    lines = [f"- {', '.join(names)}: {why}." for why, names in reasons.items()]
    return [f"Without a counterpart, of {task}:", "", *lines]


def _cell(peer):
    options = ", ".join(f"{option}={value}" for option, value in peer.options.items())
    return f"`{peer.name}`" + (f" ({options})" if options else "")


def updated(page):
    """The page with its lists made anew."""
    before, rest = page.split(BEGIN)
    return before + BEGIN + lists() + END + rest.split(END)[1]


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text()))
