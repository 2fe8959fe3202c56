r"""DenseNet-BC (100 layers, growth rate 12) on CIFAR-10 (Huang et al. 2017, sec. 4.2).

Not run to its end: too long for a CPU. That it begins to learn, 40 updates on batches of 64 have
shown: test accuracy 26.6 % (seed 0; chance is 10 %) after 276 s of training on a 2-core CPU:

    python launch.py train --config=densenet_cifar10 --config.epochs=none \
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
