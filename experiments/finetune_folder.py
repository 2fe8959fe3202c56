r"""Fine-tunes an ImageNet network on a folder of your own images, PATH/train/CLASS/*.jpg.

No score: it is that of your images. A ResNet-18 of timm, whose head is new for your classes:

    python launch.py train --config=finetune_folder --workdir=runs/mine \
        --config.data.name=folder:PATH

The weights are downloaded once (45 MB). Without a network, or for weights of your own, give a file
or the folder of a run: --config.model.pretrained=resnet18.safetensors. Other networks:

    --config.model.name=resnet50 --config.model.pretrained=timm/resnet50.a1_in1k

The backbone learns ten times more slowly than the head, and its batch statistics stay ImageNet's,
as batches of few images would spoil them. Where there are few images (tens a class), train in two
phases, the head alone and then all of it from there:

    python launch.py train --config=finetune_folder --workdir=runs/head \
        --config.data.name=folder:PATH --config.epochs=5 \
        --config.finetune.freeze_backbone=true --config.finetune.backbone_rate=1
    python launch.py train --config=finetune_folder --workdir=runs/all \
        --config.data.name=folder:PATH --config.model.pretrained=runs/head \
        --config.finetune.new_head=false --config.optimizer.learning_rate=0.005

or let the backbone join part by part: --config.finetune.unfreeze_epochs=5. `launch.py find_lr` with
the same flags suggests a learning rate.
"""

from cnnlab.config import (
    AugmentConfig,
    Config,
    DataConfig,
    FinetuneConfig,
    ModelConfig,
    OptimizerConfig,
    ScheduleConfig,
)


def get_config() -> Config:
    return Config(
        epochs=15.0,
        batch_size=32,
        log_every_steps=10,
        data=DataConfig(name="folder:images", image_size=224),
        augment=AugmentConfig(random_resized_crop=True, crop_scale=(0.35, 1.0), flip=True),
        model=ModelConfig(name="resnet18", pretrained="timm/resnet18.a1_in1k"),
        finetune=FinetuneConfig(new_head=True, backbone_rate=0.1, freeze_batch_stats=True),
        schedule=ScheduleConfig(warmup_epochs=1.0),
        optimizer=OptimizerConfig(
            name="sgd", learning_rate=0.02, weight_decay=1e-4, options={"momentum": 0.9}
        ),
    )
