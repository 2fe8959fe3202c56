"""LeNet on the embedded handwritten digits: the default recipe, seconds on a laptop."""

from cnnlab.config import AugmentConfig, Config, DataConfig, EvaluationConfig, ModelConfig, OptimizerConfig


def get_config() -> Config:
    return Config(
        epochs=40.0,
        batch_size=64,
        data=DataConfig(name="digits"),
        augment=AugmentConfig(rotate_degrees=15.0, translate=0.1, scale=0.1, shear_degrees=10.0),
        model=ModelConfig(name="lenet_relu"),
        evaluation=EvaluationConfig(every_epochs=2.0),
        optimizer=OptimizerConfig(
            name="sgd", learning_rate=0.05, weight_decay=5e-4, options={"momentum": 0.9}
        ),
    )
