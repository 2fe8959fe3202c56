"""ResNet-9 on CIFAR-10, half as wide, for a CPU; `resnet9_cifar10` has its full width.

The recipe of `resnet9_cifar10` with what a narrower network wants: smaller batches, for more
updates in fewer epochs, less label smoothing, and no cutout.

    python launch.py prepare --dataset=cifar10
    python launch.py train --config=resnet9_narrow_cifar10

Its score is in docs/results.md. The whole training split is used, and the weights are those after
the last step.
"""

from cnnlab.config import (
    AugmentConfig,
    Config,
    DataConfig,
    EvaluationConfig,
    LossConfig,
    ModelConfig,
    OptimizerConfig,
    ScheduleConfig,
)


def get_config() -> Config:
    return Config(
        epochs=13.0,
        batch_size=128,
        log_every_steps=100,
        data=DataConfig(name="cifar10", validation_fraction=0.0),
        augment=AugmentConfig(pad_crop=4, pad_mode="reflect", flip=True),
        model=ModelConfig(name="resnet9", options={"width": 32}),
        loss=LossConfig(label_smoothing=0.1),
        optimizer=OptimizerConfig(
            name="sgd",
            learning_rate=0.1,
            weight_decay=5e-4,
            ema_decay=0.99,
            options={"momentum": 0.9, "nesterov": True},
        ),
        schedule=ScheduleConfig(name="one_cycle", peak_fraction=0.2),
        evaluation=EvaluationConfig(every_epochs=13.0),
    )
