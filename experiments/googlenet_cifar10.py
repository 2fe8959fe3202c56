r"""GoogLeNet on CIFAR-10, at 64 pixels.

Not run to its end: too long for a CPU. That it begins to learn, 40 updates on batches of 64 have
shown: test accuracy 19.1 % (seed 0; chance is 10 %) after 67 s of training on a 2-core CPU:

    python launch.py train --config=googlenet_cifar10 --config.epochs=none \
        --config.steps=40 --config.batch_size=64 --config.schedule.warmup_epochs=0.02
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
        epochs=100.0,
        batch_size=128,
        data=DataConfig(name="cifar10", validation_fraction=0.05, image_size=64),
        augment=AugmentConfig(pad_crop=4, pad_mode="reflect", flip=True),
        model=ModelConfig(name="googlenet"),
        optimizer=OptimizerConfig(
            name="sgd",
            learning_rate=0.1,
            weight_decay=5e-4,
            options={"momentum": 0.9, "nesterov": True},
        ),
        schedule=ScheduleConfig(name="cosine", warmup_epochs=5.0),
    )
