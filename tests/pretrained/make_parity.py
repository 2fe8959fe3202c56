"""Measures how far logits are from the peers' and writes parity.json and docs/pretrained.md.

    python -m tests.pretrained.make_parity             # the networks that the table lacks
    python -m tests.pretrained.make_parity 'timm/*'    # these again

Each row is written as soon as it is measured, the smallest networks first, so a run that was
stopped is resumed by the same command. It needs PyTorch, torchvision, timm and
segmentation_models_pytorch; the list of timm's networks is written to timm_models.json.
"""

import fnmatch
import gc
import json
import re
import sys
from importlib.metadata import version
from pathlib import Path

import jax
import numpy as np

from cnnlab.models.costs import usual_cost
from tests.pretrained import test_peers, test_segmenter_peers
from tests.pretrained.peer_networks import build, libraries, logits_of

PARITY = Path(__file__).with_name("parity.json")
TIMM_MODELS = Path(__file__).with_name("timm_models.json")
PACKAGES = {
    "torchvision": "torchvision",
    "timm": "timm",
    "smp": "segmentation-models-pytorch",
}
PENDING = "not measured yet"
# Networks that are not measured; a pattern, and why.
NOT_RUN = {
    "torchvision/(vit_h_14|regnet_y_128gf)|timm/(vit_huge_patch14_224|regnety_1280)": (
        "memory: some 640 million parameters, in both libraries and in float64"
    ),
}  # fmt: skip

# Errors above this have a reason in the page; a pattern, and why.
NOTED = 1e-5
NOTES = {
    "timm/inception_v4": (
        "rounding: of the same weights in float64, ours is 1e-5 off and timm's 7e-6"
    ),
}  # fmt: skip


def why_noted(key):
    """The reason of a large error; None if none is known."""
    return next((why for pattern, why in NOTES.items() if re.fullmatch(pattern, key)), None)


def why_not_run(key):
    """The reason why a network is not measured; None if it is."""
    return next((why for pattern, why in NOT_RUN.items() if re.fullmatch(pattern, key)), None)


def networks():
    """All that is measured, the smallest first: keys of rows, and what gives their pairs."""
    found = []
    for group in test_peers.GROUPS.values():
        size = test_peers.SIZES.get(group[0].architecture, 64)
        keys = [str(peer) for peer in group]
        found.append((group[0].architecture, keys, lambda g=group, s=size: test_peers.pairs(g, s)))
    for case in test_segmenter_peers.CASES:
        found.append(
            (case.peer.architecture, [case_key(case)], lambda c=case: test_segmenter_peers.pairs(c))
        )
    return sorted(found, key=lambda network: usual_cost(network[0]).params)


def case_key(case):
    """Key of the row of a segmentation network."""
    return f"{case.library}/{case}"


def row(pair, key):
    """What is kept of a pair; all errors are shares of the largest logit."""
    peer, largest = pair.peer, np.abs(pair.theirs).max()
    classification = test_peers.model_task(peer.architecture) == "classification"
    full = build(peer.library, peer.name) if classification else pair.network
    # Its own weights in float64, from which both float32 results differ by rounding.
    exact = logits_of(pair.network.double(), pair.images.astype(np.float64))
    return {
        "architecture": peer.architecture,
        "options": dict(peer.options),
        "parameters": sum(tensor.numel() for tensor in full.parameters()),
        "pixels": list(pair.images.shape[1:3]),
        "seed": test_peers.seed_of(peer.architecture if classification else peer.name),
        "spread": _short(pair.spread),
        "error": _short(pair.error),
        "from_float64": _short(np.abs(pair.ours - exact).max() / largest),
        "peer_from_float64": _short(np.abs(pair.theirs - exact).max() / largest),
        "weights": published(peer),
        "versions": {
            name: version(package).split("+")[0]
            for name, package in {"jax": "jax", "torch": "torch",
                                  peer.library: PACKAGES[peer.library]}.items()
        },
    }  # fmt: skip


def _short(value):
    return float(f"{value:.1e}")


def published(peer):
    """Names of the weights that the library offers for a network."""
    _, torchvision, timm, _ = libraries()
    if peer.library == "torchvision":
        return [weights.name for weights in torchvision.models.get_model_weights(peer.name)]
    if peer.library == "timm":
        names = timm.list_models(f"{peer.name}.*", pretrained=True)
        return sorted(name.partition(".")[2] for name in names)
    return []


def read():
    """Rows by key; those of networks that were not measured have only `not_run`, the reason."""
    return json.loads(PARITY.read_text())


def measured(rows):
    """The rows with measurements."""
    return {key: row for key, row in rows.items() if "not_run" not in row}


def write(rows):
    lines = [f"  {json.dumps(key)}: {json.dumps(row)}" for key, row in rows.items()]
    PARITY.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def complete(rows):
    """The rows of all networks, the smallest first: those that are there, and why others are not.

    Rows of networks that no longer exist are dropped.
    """
    keys = [key for _, keys, _ in networks() for key in keys]
    return {key: rows.get(key, {"not_run": why_not_run(key) or PENDING}) for key in keys}


def write_timm_models():
    timm = libraries()[2]
    models = {module: timm.list_models(module=module) for module in timm.list_modules()}
    lines = (f"  {json.dumps(module)}: {json.dumps(names)}" for module, names in models.items())
    TIMM_MODELS.write_text(
        f'{{"version": "{timm.__version__}", "models": {{\n' + ",\n".join(lines) + "\n}}\n"
    )


def main(patterns):
    rows = complete(read())
    write(rows)
    write_timm_models()
    for _, keys, pairs in networks():
        named = [key for key in keys if any(fnmatch.fnmatch(key, p) for p in patterns)]
        pending = [key for key in keys if rows[key].get("not_run") == PENDING]
        if not (named if patterns else pending):
            continue
        try:
            for key, pair in zip(keys, pairs(), strict=True):
                rows[key] = row(pair, key)
                print(f"{key}: {rows[key]['error']:.1e}", flush=True)
        except AssertionError as error:
            print(f"{keys}: {error}", flush=True)
        pair = None  # it holds the network
        write(rows)
        jax.clear_caches()
        gc.collect()


if __name__ == "__main__":
    main(sys.argv[1:])
    # The page is made of the rows, by a module that imports this one.
    from tests.pretrained import make_page

    make_page.PAGE.write_text(make_page.updated(make_page.PAGE.read_text()))
