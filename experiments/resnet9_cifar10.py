r"""ResNet-9 on CIFAR-10 in little time: the recipe of the DAWNBench records (Page 2018).

Not run to its end: too long for a CPU. That it begins to learn, 40 updates on batches of 64 have
shown: test accuracy 36.9 % (seed 0; chance is 10 %) after 140 s of training on a 2-core CPU:

    python launch.py train --config=resnet9_cifar10 --config.epochs=none --config.steps=40 \
        --config.batch_size=64 --config.optimizer.learning_rate=0.05 \
        --config.model.dtype=float32
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
        epochs=10.0,
        batch_size=512,
        data=DataConfig(name="cifar10", validation_fraction=0.0),
        augment=AugmentConfig(pad_crop=4, pad_mode="reflect", flip=True, cutout=8),
        model=ModelConfig(name="resnet9", dtype="bfloat16"),
        loss=LossConfig(label_smoothing=0.2),
        # Page's rates are for summed losses: 0.4 and 5e-4 a batch of 512 there are these here.
        optimizer=OptimizerConfig(
            name="sgd",
            learning_rate=0.4,
            weight_decay=5e-4,
            ema_decay=0.99,
            options={"momentum": 0.9, "nesterov": True},
        ),
        schedule=ScheduleConfig(name="one_cycle", peak_fraction=0.2),
        evaluation=EvaluationConfig(every_epochs=10.0),
    )
