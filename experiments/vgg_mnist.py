"""A small VGG on MNIST.

66,346 parameters: four convolutions with batch norm and a linear layer.

    python launch.py prepare --dataset=mnist
    python launch.py train --config=vgg_mnist

Scores are in docs/results.md. The weights are those of the evaluation, one every four epochs, that
was best on 5 % of the training split.
"""

from cnnlab.config import (
    AugmentConfig,
    Config,
    DataConfig,
    EvaluationConfig,
    ModelConfig,
    OptimizerConfig,
    ScheduleConfig,
)


def get_config() -> Config:
    return Config(
        epochs=20.0,
        batch_size=128,
        log_every_steps=100,
        data=DataConfig(name="mnist", validation_fraction=0.05),
        augment=AugmentConfig(rotate_degrees=10.0, translate=0.1, scale=0.1, shear_degrees=5.0),
        # Stages of one, one and two convolutions of 16, 32 and 64 channels.
        model=ModelConfig(
            name="vgg11_bn",
            options={"stage_sizes": (1, 1, 2), "width": 16, "hidden": (), "pool_size": 3},
        ),
        optimizer=OptimizerConfig(
            name="sgd",
            learning_rate=0.1,
            weight_decay=5e-4,
            ema_decay=0.99,
            options={"momentum": 0.9, "nesterov": True},
        ),
        schedule=ScheduleConfig(name="one_cycle", peak_fraction=0.25),
        evaluation=EvaluationConfig(every_epochs=4.0, batch_size=500),
    )
