"""GoogLeNet in torchvision."""

from cnnlab.pretrained.key_maps.rules import TensorSpec, by_rules

torchvision = by_rules(
    *(
        rule
        for ours, theirs in (("conv", "conv"), ("norm", "bn"))
        for rule in (
            (f"backbone/conv{{n}}/{ours}", f"conv{{n}}.{theirs}"),
            (f"backbone/inception{{i}}/branch1/{ours}", f"inception{{i}}.branch1.{theirs}"),
            (f"backbone/inception{{i}}/branch{{b}}_reduce/{ours}",
             f"inception{{i}}.branch{{b}}.0.{theirs}"),
            (f"backbone/inception{{i}}/branch{{b}}/{ours}",
             f"inception{{i}}.branch{{b}}.1.{theirs}"),
            (f"head/aux{{n}}/conv/{ours}", f"aux{{n}}.conv.{theirs}"),
        )
    ),
    ("head/aux{n}/dense1", TensorSpec("aux{n}.fc1", window=(4, 4))),
    ("head/aux{n}/logits", "aux{n}.fc2"),
    ("head/logits", "fc"),
)  # fmt: skip

# Tensors that a network without auxiliary classifiers, or a file of one, lacks.
OPTIONAL = r"aux\d\..*"
