r"""AlexNet on Fashion-MNIST at 65 pixels, the smallest that it takes.

Not run to its end: too long for a CPU. One epoch instead of all: test accuracy 86.11 % (seed 0) in
150 s of training on a 2-core CPU that was busy with other work:

    python launch.py train --config=alexnet_fashion_mnist \
        --config.epochs=1 --config.schedule.warmup_epochs=0.1
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
        data=DataConfig(name="fashion_mnist", validation_fraction=0.05, image_size=65),
        augment=AugmentConfig(flip=True),
        model=ModelConfig(name="alexnet_d2l", options={"hidden": (512, 512), "norm": "batch"}),
        optimizer=OptimizerConfig(
            name="sgd",
            learning_rate=0.01,
            weight_decay=5e-4,
            options={"momentum": 0.9, "nesterov": True},
        ),
        schedule=ScheduleConfig(name="cosine", warmup_epochs=1.0),
    )
