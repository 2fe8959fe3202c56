"""ResNet-18 with the CIFAR stem on CIFAR-10."""

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
        epochs=30.0,
        batch_size=128,
        data=DataConfig(name="cifar10", validation_fraction=0.05),
        augment=AugmentConfig(pad_crop=4, pad_mode="reflect", flip=True),
        model=ModelConfig(name="resnet18", options={"stem": "cifar"}),
        optimizer=OptimizerConfig(
            name="sgd",
            learning_rate=0.1,
            weight_decay=5e-4,
            options={"momentum": 0.9, "nesterov": True},
        ),
        schedule=ScheduleConfig(name="cosine", warmup_epochs=1.0),
    )
