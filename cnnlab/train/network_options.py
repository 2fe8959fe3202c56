"""The options of a run's network: the config's, and those that its pretrained weights require."""

from pathlib import Path
from typing import Any

from cnnlab.config import Config
from cnnlab.errors import UserError
from cnnlab.models import model_options, model_task
from cnnlab.pretrained import named_peer, source_options


def network_options(config: Config) -> dict[str, Any]:
    """Returns the options that are passed to `create_model`.

    Raises:
      UserError: options that contradict `model.pretrained`, or weights of another architecture.
    """
    model = config.model
    source = model.pretrained
    if not source or Path(source).expanduser().is_dir():
        return model.options
    peer = named_peer(source)
    whole = peer is not None and model_task(peer.architecture) == "segmentation"
    if config.task != "segmentation" or whole:
        return source_options(source, model.name, model.options)
    encoder, options = encoder_of(config)
    options = source_options(source, encoder, options, encoder=True)
    return {**model.options, "encoder_options": options}


def encoder_of(config: Config) -> tuple[str, dict[str, Any]]:
    """Returns the classifier that is a segmentation network's encoder, and its options.

    Raises:
      UserError: the network has an encoder of its own, for which there are no weights.
    """
    options = model_options(config.model.name) | config.model.options
    if "encoder" not in options:
        raise UserError(
            f"model.pretrained={config.model.pretrained}: {config.model.name} has an encoder of "
            "its own; choose a network with the option encoder, e.g. encoder_unet."
        )
    return options["encoder"], dict(options["encoder_options"] or {})
