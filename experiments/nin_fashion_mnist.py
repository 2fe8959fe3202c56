"""NiN on Fashion-MNIST, in the paper's form for images of this size.

Not run to its end yet, so no score stands here:

    python launch.py train --config=nin_fashion_mnist
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
