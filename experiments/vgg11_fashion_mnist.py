r"""VGG-11 on Fashion-MNIST, a quarter as wide, as d2l.ai (sec. 8.2.3) trains it.

Not run to its end: too long for a CPU. One epoch instead of all: test accuracy 89.02 % (seed 0) in
81 s of training on a 2-core CPU that was busy with other work:

    python launch.py train --config=vgg11_fashion_mnist \
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
        data=DataConfig(name="fashion_mnist", validation_fraction=0.05, image_size=32),
        augment=AugmentConfig(flip=True),
        model=ModelConfig(name="vgg11_bn", options={"width": 16, "hidden": (256,), "pool_size": 1}),
        optimizer=OptimizerConfig(
            name="sgd",
            learning_rate=0.05,
            weight_decay=5e-4,
            options={"momentum": 0.9, "nesterov": True},
        ),
        schedule=ScheduleConfig(name="cosine", warmup_epochs=1.0),
    )
