r"""ResNet-9 on CIFAR-10 in little time: the recipe of the DAWNBench records (Page 2018).

93.90 and 93.71 % on the test set (seeds 0 and 1), after 14.3 s of training at 109,000 images/s on
one NVIDIA H200 (30 s in all, with compiled programs in the cache; seed 1). The published 94 % are
not quite reached. What Page added later to need fewer epochs is not in: whitened patches of the
input, norms over parts of a batch, averages over mirrored images at test time. Shorter runs, seed
0: 92.28 % in 16 epochs, 89.88 % in 10.

    python launch.py train --config=resnet9_cifar10

A CPU is too slow for it; 40 updates on batches of 64 reach 36.9 % (chance is 10 %) in 140 s there:

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
        epochs=24.0,
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
        evaluation=EvaluationConfig(every_epochs=24.0),
    )
