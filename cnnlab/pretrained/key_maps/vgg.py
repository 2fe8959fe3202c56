"""VGG in torchvision and in timm, which has convolutions instead of hidden dense layers."""

from collections.abc import Sequence

from cnnlab.pretrained.key_maps.rules import TensorSpec, by_rules, in_order


def _features(layers: Sequence[str]) -> dict[str, TensorSpec]:
    """Numbers convolutions, norms, activations and poolings together, as both libraries do."""
    places, position, last_stage = {}, 0, None
    for unit in in_order(layers, "backbone/stage{s}_conv{n}"):
        stage = unit.partition("_")[0]
        position += last_stage is not None and stage != last_stage  # the pooling in between
        last_stage = stage
        for kind in ("conv", "norm"):
            if f"{unit}/{kind}" in layers:
                places[f"{unit}/{kind}"] = TensorSpec(f"features.{position}")
                position += 1
        position += 1  # the activation
    return places


_torchvision_head = by_rules(
    ("head/dense1", TensorSpec("classifier.0", window=(7, 7))),
    ("head/dense2", "classifier.3"),
    ("head/logits", "classifier.6"),
)
_timm_head = by_rules(
    ("head/dense1", TensorSpec("pre_logits.fc1", window=(7, 7), conv=True)),
    ("head/dense2", TensorSpec("pre_logits.fc2", conv=True)),
    ("head/logits", "head.fc"),
)


def torchvision(layers: Sequence[str]) -> dict[str, TensorSpec]:
    """Key map in torchvision."""
    return {**_features(layers), **_torchvision_head(layers)}


def timm(layers: Sequence[str]) -> dict[str, TensorSpec]:
    """Key map in timm."""
    return {**_features(layers), **_timm_head(layers)}
