"""DenseNet-BC (100 layers, growth rate 12) on CIFAR-10 (Huang et al. 2017, sec. 4.2).

Not run to its end yet, so no score stands here:

    python launch.py train --config=densenet_cifar10
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
        epochs=300.0,
        batch_size=64,
        data=DataConfig(name="cifar10", validation_fraction=0.05),
        augment=AugmentConfig(pad_crop=4, flip=True),
        model=ModelConfig(name="densenet_bc_100_12"),
        optimizer=OptimizerConfig(
            name="sgd",
            learning_rate=0.1,
            weight_decay=1e-4,
            options={"momentum": 0.9, "nesterov": True},
        ),
        schedule=ScheduleConfig(name="step", step_epochs=(150.0, 225.0)),
    )
