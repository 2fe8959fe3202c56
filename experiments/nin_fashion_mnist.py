r"""NiN on Fashion-MNIST, in the paper's form for images of this size.

Not run to its end: too long for a CPU. 90 updates instead of all: test accuracy 50.30 % (seed 0) in
430 s of training on a 2-core CPU that was busy with other work:

    python launch.py train --config=nin_fashion_mnist \
        --config.epochs=none --config.steps=90 --config.schedule.warmup_epochs=0
"""

from cnnlab.config import (
    AugmentConfig,
    Config,
    DataConfig,
    ModelConfig,
    OptimizerConfig,
    ScheduleConfig,
)


def get_config() -> Config:
    return Config(
        epochs=20.0,
        batch_size=128,
        data=DataConfig(name="fashion_mnist", validation_fraction=0.05),
        augment=AugmentConfig(flip=True),
        model=ModelConfig(name="nin_cifar", options={"norm": "batch"}),
        # Plain SGD at the other recipes' rates soon left no logit above its last ReLU.
        optimizer=OptimizerConfig(name="adamw", learning_rate=1e-3, weight_decay=0.01),
        schedule=ScheduleConfig(name="cosine", warmup_epochs=1.0),
    )
