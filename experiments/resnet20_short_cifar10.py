"""ResNet-20 on CIFAR-10 in 30 epochs, for a CPU; `resnet20_cifar10` has all 182.

One cycle of the learning rate in place of steps, more weight decay, and averaged weights (He et al.
2015, arXiv:1512.03385, sec. 4.2, have none of them).

    python launch.py prepare --dataset=cifar10
    python launch.py train --config=resnet20_short_cifar10

Its score is in docs/results.md. The whole training split is used, and the weights are those after
the last step.
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
        epochs=30.0,
        batch_size=128,
        log_every_steps=100,
        data=DataConfig(name="cifar10", validation_fraction=0.0),
        augment=AugmentConfig(pad_crop=4, pad_mode="reflect", flip=True),
        model=ModelConfig(name="resnet20"),
        optimizer=OptimizerConfig(
            name="sgd",
            learning_rate=0.2,
            weight_decay=5e-4,
            ema_decay=0.99,
            options={"momentum": 0.9, "nesterov": True},
        ),
        schedule=ScheduleConfig(name="one_cycle", peak_fraction=0.2),
        evaluation=EvaluationConfig(every_epochs=30.0),
    )
