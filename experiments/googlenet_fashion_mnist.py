"""GoogLeNet on Fashion-MNIST at 64 pixels, half as wide, with auxiliary classifiers.

    python launch.py prepare --dataset=fashion_mnist
    python launch.py train --config=googlenet_fashion_mnist

Its score is in docs/results.md.
"""

from cnnlab.config import (
    AugmentConfig,
    Config,
    DataConfig,
    LossConfig,
    ModelConfig,
    OptimizerConfig,
    ScheduleConfig,
)


def get_config() -> Config:
    return Config(
        epochs=8.0,
        batch_size=128,
        data=DataConfig(name="fashion_mnist", validation_fraction=0.05, image_size=64),
        augment=AugmentConfig(pad_crop=2, flip=True),
        model=ModelConfig(name="googlenet", options={"width": 0.5, "aux_hidden": 256}),
        loss=LossConfig(label_smoothing=0.1),
        optimizer=OptimizerConfig(
            name="sgd",
            learning_rate=0.05,
            weight_decay=5e-4,
            ema_decay=0.99,
            options={"momentum": 0.9, "nesterov": True},
        ),
        schedule=ScheduleConfig(name="one_cycle", peak_fraction=0.25),
    )
