"""Writes cnnlab/models/costs.json and timm_names.json: `python -m tests.models.make_costs`.

Rows that are there are kept, because tracing all networks takes minutes; `--all` traces them again.
"""

import json
import sys
from pathlib import Path

from cnnlab.analysis import summarize, total_macs
from cnnlab.models import create_model
from cnnlab.pretrained.peers import PEERS, peers_of
from tests.models.counts import COUNTS
from tests.models.segmentation.counts import COUNTS as SEGMENTERS

FORMS = COUNTS | SEGMENTERS
TABLE = Path(__file__).parents[2] / "cnnlab" / "models" / "costs.json"
TIMM_NAMES = TABLE.with_name("timm_names.json")


def has_weights(name):
    """Whether a library publishes weights of the architecture that load by name."""
    return any(peer.weights for peer in peers_of(name))


def row(name):
    """Image shape, classes, parameters, multiply-accumulates and whether there are weights."""
    count = FORMS[name]
    options = getattr(count, "options", {})
    model = create_model(name, num_classes=count.num_classes, **options)
    macs = total_macs(summarize(model, count.image_shape))
    return [list(count.image_shape), count.num_classes, count.params, macs, has_weights(name)]


def timm_names():
    """Our name and options of each network that timm has under another name."""
    return {
        peer.name: [peer.architecture, dict(peer.options)]
        for peer in PEERS
        if str(peer).startswith("timm/") and peer.name not in FORMS
    }


def write(rows, path=TABLE):
    lines = (f"  {json.dumps(name)}: {json.dumps(values)}" for name, values in rows.items())
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def main():
    kept = {} if "--all" in sys.argv or not TABLE.exists() else json.loads(TABLE.read_text())
    rows = {}
    for name in FORMS:
        rows[name] = kept.get(name) or row(name)
        write(rows | {other: values for other, values in kept.items() if other not in rows})
    write(rows)
    write(timm_names(), TIMM_NAMES)


if __name__ == "__main__":
    main()
