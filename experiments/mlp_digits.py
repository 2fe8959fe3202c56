"""The dense network on the embedded digits, to compare LeNet with.

Test accuracy 98.33 % (seed 0) in 3 s of training on a 2-core CPU:

    python launch.py train --config=mlp_digits
"""

from cnnlab.config import Config, DataConfig, ModelConfig, OptimizerConfig


def get_config() -> Config:
    return Config(
        epochs=40.0,
        batch_size=64,
        data=DataConfig(name="digits"),
        model=ModelConfig(name="mlp", options={"dropout_rate": 0.2}),
        optimizer=OptimizerConfig(name="adamw", learning_rate=1e-3, weight_decay=1e-2),
    )
