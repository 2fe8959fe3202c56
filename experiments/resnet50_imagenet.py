"""ResNet-50 on ImageNet, after the recipe of torchvision's first weights (76.130 % top-1).

Not run to its end yet, so no score stands here:

    python launch.py train --config=resnet50_imagenet
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
        epochs=90.0,
        batch_size=256,
        log_every_steps=100,
        # Evaluation scales the shorter side to 256 and cuts 224x224.
        data=DataConfig(
            name="imagenet2012",
            image_size=224,
            crop_fraction=0.875,
            interpolation="bilinear",
            num_workers=16,
        ),
        augment=AugmentConfig(random_resized_crop=True, flip=True),
        model=ModelConfig(name="resnet50", dtype="bfloat16"),
        optimizer=OptimizerConfig(
            name="sgd",
            learning_rate=0.1,
            weight_decay=1e-4,
            decay_norms_and_biases=True,
            options={"momentum": 0.9},
        ),
        schedule=ScheduleConfig(name="step", step_epochs=(30.0, 60.0), warmup_epochs=0.0),
    )
