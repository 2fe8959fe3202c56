"""The architectures that timm has under other names, as a table; imports no jax."""

import functools
import json
from importlib import resources


def our_name(name: str) -> str | None:
    """Says in a sentence what a network of timm is called here; None if its name is not known.

    >>> our_name("tf_efficientnet_b0")
    "It is timm's name of the network that is called 'efficientnet_b0' here, with the options ..."

    Args:
      name: timm's name, alone, with a tag of weights (`.a1_in1k`), or as in `timm/NAME` and in
        segmentation_models_pytorch's `tu-NAME`.
    """
    found = _table().get(name.removeprefix("timm/").removeprefix("tu-").partition(".")[0])
    if found is None:
        return None
    ours, options = found
    values = [
        f"{option}={tuple(value) if isinstance(value, list) else value}"
        for option, value in options.items()
    ]
    with_options = f", with the options {' and '.join(values)}" if values else ""
    return f"It is timm's name of the network that is called '{ours}' here{with_options}."


@functools.cache
def _table() -> dict[str, tuple[str, dict]]:
    """The table that `python -m tests.models.make_costs` writes."""
    return json.loads(resources.files("cnnlab.models").joinpath("timm_names.json").read_text())
