"""Two handwritten digits in each image and both as labels: multi-label classification, embedded.

    python launch.py train --config=multilabel_digit_pairs

Macro F1 92.08 %, mean average precision 96.78 %, all labels of an image right 78.55 % (seed 0),
359 test images, in 72 s of training on a 2-core CPU beside other work.

For images of your own, write a table (see `cnnlab/data/sources/label_table.py`) and set
--config.data.name=folder:PATH.
"""

from cnnlab.config import (
    AugmentConfig,
    Config,
    DataConfig,
    EvaluationConfig,
    ModelConfig,
    OptimizerConfig,
)


def get_config() -> Config:
    return Config(
        task="multilabel",
        epochs=60.0,
        batch_size=64,
        data=DataConfig(name="digit_pairs"),
        augment=AugmentConfig(rotate_degrees=10.0, translate=0.05, scale=0.1),
        model=ModelConfig(name="lenet_relu"),
        evaluation=EvaluationConfig(every_epochs=10.0, metrics=("average_precision",)),
        optimizer=OptimizerConfig(name="adamw", learning_rate=3e-3, weight_decay=1e-2),
    )
