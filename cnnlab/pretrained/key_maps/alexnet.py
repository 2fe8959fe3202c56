"""AlexNet in torchvision."""

from cnnlab.pretrained.key_maps.rules import TensorSpec, by_rules

# Activations and poolings count as positions there.
_CONVS = (0, 3, 6, 8, 10)

torchvision = by_rules(
    *((f"backbone/conv{n}/conv", f"features.{i}") for n, i in enumerate(_CONVS, start=1)),
    ("head/dense1", TensorSpec("classifier.1", window=(6, 6))),
    ("head/dense2", "classifier.4"),
    ("head/logits", "classifier.6"),
)
