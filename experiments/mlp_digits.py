"""The dense network on the embedded digits, to compare LeNet with."""

from cnnlab.config import Config, DataConfig, ModelConfig, OptimizerConfig


def get_config() -> Config:
    return Config(
        epochs=40.0,
        batch_size=64,
        data=DataConfig(name="digits"),
        model=ModelConfig(name="mlp", options={"dropout_rate": 0.2}),
        optimizer=OptimizerConfig(name="adamw", learning_rate=1e-3, weight_decay=1e-2),
    )
