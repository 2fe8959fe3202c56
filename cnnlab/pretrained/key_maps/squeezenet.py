"""SqueezeNet in torchvision."""

from collections.abc import Sequence

from cnnlab.pretrained.key_maps.rules import TensorSpec, by_rules, in_order


def torchvision(layers: Sequence[str]) -> dict[str, TensorSpec]:
    """Key map of SqueezeNet in torchvision; modules and poolings are numbered together."""
    places = by_rules(("backbone/stem/conv", "features.0"), ("head/logits", "classifier.1"))(layers)
    for number, block in enumerate(in_order(layers, "backbone/stage{s}_block{b}")):
        stage = int(block.removeprefix("backbone/stage").partition("_")[0])
        # Behind stem, activation and the first pooling.
        name = f"features.{number + stage + 2}"
        for layer in ("squeeze", "expand1x1", "expand3x3"):
            places[f"{block}/{layer}/conv"] = TensorSpec(f"{name}.{layer}")
    return places
