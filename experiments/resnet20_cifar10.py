"""ResNet-20 on CIFAR-10 (He et al. 2015, arXiv:1512.03385, sec. 4.2).

Too long for a CPU; `resnet20_short_cifar10` takes 30 epochs in place of 182:

    python launch.py train --config=resnet20_cifar10
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
        epochs=182.0,
        batch_size=128,
        data=DataConfig(name="cifar10", validation_fraction=0.05),
        augment=AugmentConfig(pad_crop=4, flip=True),
        model=ModelConfig(name="resnet20"),
        optimizer=OptimizerConfig(
            name="sgd",
            learning_rate=0.1,
            weight_decay=1e-4,
            options={"momentum": 0.9, "nesterov": True},
        ),
        schedule=ScheduleConfig(name="step", step_epochs=(91.0, 136.5)),
    )
