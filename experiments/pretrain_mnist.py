"""A small ResNet on MNIST, whose backbone `finetune_digits` starts from.

Test accuracy 98.62 % (seed 0) in 5 minutes of training on a 2-core CPU that was busy otherwise:

    python launch.py prepare --dataset=mnist
    python launch.py train --config=pretrain_mnist --workdir=runs/pretrain_mnist

On Fashion-MNIST, with --config.data.name=fashion_mnist, 84.10 % (seed 0).
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
        epochs=2.0,
        batch_size=128,
        data=DataConfig(name="mnist", validation_fraction=0.05),
        augment=AugmentConfig(rotate_degrees=15.0, translate=0.1, scale=0.1, shear_degrees=10.0),
        model=ModelConfig(
            name="resnet18", options={"stem": "cifar", "width": 8, "stage_sizes": (1, 1, 1)}
        ),
        schedule=ScheduleConfig(warmup_epochs=0.25),
        optimizer=OptimizerConfig(
            name="sgd",
            learning_rate=0.1,
            weight_decay=5e-4,
            options={"momentum": 0.9, "nesterov": True},
        ),
    )
