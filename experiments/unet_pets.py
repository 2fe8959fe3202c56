"""U-Net on ResNet-34 for the Oxford-IIIT pets: pet, background and border.

Not run to its end yet, so no score stands here. The set has to be prepared once, which downloads
800 MB; with a network, the encoder starts from ImageNet:

    python launch.py prepare --dataset=oxford_iiit_pet
    python launch.py train --config=unet_pets --config.model.pretrained=timm/resnet34
"""

from cnnlab.config import (
    AugmentConfig,
    Config,
    DataConfig,
    FinetuneConfig,
    LossConfig,
    ModelConfig,
    OptimizerConfig,
    ScheduleConfig,
)


def get_config() -> Config:
    return Config(
        task="segmentation",
        epochs=40.0,
        batch_size=16,
        data=DataConfig(name="oxford_iiit_pet", image_size=128, num_workers=2),
        augment=AugmentConfig(flip=True, rotate_degrees=10.0, scale=0.2),
        model=ModelConfig(name="encoder_unet", options={"encoder": "resnet34"}),
        loss=LossConfig(terms={"cross_entropy": 1.0, "dice": 1.0}),
        optimizer=OptimizerConfig(name="adamw", learning_rate=1e-3, weight_decay=1e-4),
        schedule=ScheduleConfig(name="cosine", warmup_epochs=1.0),
        finetune=FinetuneConfig(backbone_rate=0.1),
    )
