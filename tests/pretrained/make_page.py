"""Writes the lists of docs/pretrained.md: `python -m tests.pretrained.make_page`.

They are those of the registry of peers, with what `python -m tests.pretrained.make_parity` has
measured of them.
"""

import fnmatch
import json
from pathlib import Path

from cnnlab.models import list_models
from cnnlab.pretrained.peers import PEERS, peers_of, why_no_peer
from tests.pretrained.make_parity import (
    NOTED,
    TIMM_MODELS,
    case_key,
    measured,
    read,
    why_noted,
)
from tests.pretrained.test_segmenter_peers import CASES

PAGE = Path(__file__).parents[2] / "docs" / "pretrained.md"
BEGIN, END = "<!-- lists -->\n", "<!-- end of lists -->\n"
_LIBRARY_NAMES = {"smp": "segmentation_models_pytorch", "jax": "JAX", "torch": "PyTorch"}


def lists():
    """Networks with what proves them, and those without a counterpart with the reason."""
    rows = read()
    return "\n".join([
        *_measured(rows), "", *_notes(rows), "",
        *_segmenters(), "", *_without("classification"), "", *_timm_families(), "",
    ])  # fmt: skip


def _measured(rows):
    """The table of what was measured, and with which versions."""
    versions = {}
    for row in measured(rows).values():
        for name, version in row["versions"].items():
            versions.setdefault(_LIBRARY_NAMES.get(name, name), set()).add(version)
    worst = max(measured(rows), key=lambda key: rows[key]["error"])
    ratio = max(row["error"] / row["peer_from_float64"] for row in measured(rows).values())
    listed = ", ".join(f"{name} {' and '.join(sorted(versions[name]))}" for name in versions)
    classifiers = [
        peer
        for name in list_models(task="classification")
        for library in ("torchvision", "timm")
        for peer in peers_of(name, library)
    ]
    return [
        f"{len(measured(rows))} of {len(rows)} networks were measured, with {listed}. The largest "
        f"error is {rows[worst]['error']:.1e}, of `{worst}`, whose own rounding is "
        f"{rows[worst]['peer_from_float64']:.1e}; none is more than {ratio:.1f} times the peer's "
        "rounding.", "",
        "| ours | peer | parameters | pixels | error | peer's rounding | its weights |",
        "|---|---|---:|---:|---:|---:|---|",
        *(_row(peer, str(peer), _with_options(peer), rows) for peer in classifiers),
        *(_row(case.peer, case_key(case), _with_options(case), rows) for case in CASES),
    ]  # fmt: skip


def _row(peer, key, cell, rows):
    cells = [f"`{peer.architecture}`", f"{peer.library} {cell}"]
    row = rows[key]
    if "not_run" in row:
        cells += ["", "", "not run", "", ""]
    else:
        height, width = row["pixels"]
        pixels = str(height) if height == width else f"{height}×{width}"
        weights = ", ".join(f"`{name}`" if name else "untagged" for name in row["weights"])
        cells += [
            f"{row['parameters']:,}",
            pixels,
            f"{row['error']:.1e}" + (" (blind)" if row["spread"] < 0.02 else ""),
            f"{row['peer_from_float64']:.1e}",
            weights,
        ]
    return f"| {' | '.join(cells)} |"


def _with_options(named):
    """Name of a peer, or of a case of tests, and our options."""
    options = ", ".join(f"{option}={value}" for option, value in named.options.items())
    return f"`{named.name}`" + (f" ({options})" if options else "")


def _notes(rows):
    """Why errors are large, and why networks were not run."""
    reasons, missing = {}, {}
    for key, row in rows.items():
        if "not_run" in row:
            missing.setdefault(row["not_run"], []).append(f"`{key}`")
        elif row["error"] > NOTED:
            reasons.setdefault(why_noted(key), []).append(f"`{key}`")
    lines = [f"- {', '.join(keys)}: {why}." for why, keys in reasons.items()]
    lines += [f"- Not run, {why}: {', '.join(keys)}." for why, keys in missing.items()]
    return [f"Errors above {NOTED:.0e}, and networks that were not run:", "", *lines]


def _timm_families():
    """What timm has and is not here, by its modules."""
    kept = json.loads(TIMM_MODELS.read_text())
    ours = {peer.name for peer in PEERS if peer.library == "timm"}
    total = sum(map(len, kept["models"].values()))
    here = sum(name in ours for names in kept["models"].values() for name in names)
    lines = [
        f"Of the {total:,} networks of timm {kept['version']}, {here} are here. The rest, by "
        "its modules:", "", "| module | here | of | not here |", "|---|---:|---:|---|",
    ]  # fmt: skip
    for module, names in kept["models"].items():
        missing = [name for name in names if name not in ours]
        cell = ", ".join(f"`{name}`" for name in missing)
        if len(missing) == len(names) > 2:
            cell = f"all: `{names[0]}` to `{names[-1]}`"
        lines.append(f"| `{module}` | {len(names) - len(missing)} | {len(names)} | {cell} |")
    return lines


# Names of encoders that are listed together.
_PATTERNS = (
    "resnet*", "resnext*", "se_resne*", "vgg*", "densenet*", "efficientnet-*", "timm-*", "mit_b*",
    "tu-xception*", "tu-wide_resnet*", "tu-convnext*",
    "tu-dla*", "tu-ecaresnet*", "tu-edgenext*", "tu-efficientnet*", "tu-hrnet*", "tu-inception*",
    "tu-mnasnet*", "tu-mobilenetv?_*", "tu-regnet*", "tu-repvgg*", "tu-res2ne*", "tu-resnest*",
    "tu-resnet*d", "tu-resnet*t", "tu-resnext*d_*", "tu-seresnet*d", "tu-seresnext*d_*",
    "tu-seresnext*t_*", "tu-tf_efficientnet*", "tu-vgg*",
)  # fmt: skip


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
            there = [encoder for _, encoder in pairs]
            ways = {" on ": there, ", not on ": missing}
            texts = [way + ", ".join(_summed_up(names, encoders)) for way, names in ways.items()]
            smp += min(texts, key=len)
        if theirs or smp:
            rows.append(f"| `{name}` | {theirs} | {smp} |")
    listed = ", ".join(f"`{encoder}`" for encoder in encoders)
    return [*rows, "", f"Encoders of segmentation_models_pytorch: {listed}.", "",
            *_without("segmentation")]  # fmt: skip


def _summed_up(names, all_names):
    """A pattern in the place of all names that fit it, where none of these is missing."""
    rest = set(names)
    for pattern in ("tu-*", *_PATTERNS):
        fitting = set(fnmatch.filter(all_names, pattern))
        if fitting and fitting <= rest:
            rest = rest - fitting | {pattern}
    return [f"`{name}`" for name in sorted(rest)]


def _without(task):
    reasons = {}
    for name in list_models(task=task):
        if why := why_no_peer(name):
            reasons.setdefault(why, []).append(f"`{name}`")
    lines = [f"- {', '.join(names)}: {why}." for why, names in reasons.items()]
    return [f"Without a counterpart, of {task}:", "", *lines]


def updated(page):
    """The page with its lists made anew."""
    before, rest = page.split(BEGIN)
    return before + BEGIN + lists() + END + rest.split(END)[1]


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text()))
