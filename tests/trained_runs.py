"""Small runs that tests of analysis, report and command line share; each is trained once a session.

Tests that write into a run's folder take a copy.
"""

import functools
import tempfile
from pathlib import Path

from cnnlab import classical, train
from cnnlab.config import Config, DataConfig, EvaluationConfig, ModelConfig, OptimizerConfig

_FOLDER = tempfile.TemporaryDirectory(prefix="cnnlab_tests_")


def lenet_config(**changes) -> Config:
    """A LeNet on digits of 14x14."""
    settings = {
        "batch_size": 64,
        "epochs": None,
        "steps": 60,
        "log_every_steps": 10,
        "num_devices": 1,
        "data": DataConfig(name="digits", image_size=14),
        "model": ModelConfig(name="lenet_relu"),
        "optimizer": OptimizerConfig(name="adam", learning_rate=5e-3),
        "evaluation": EvaluationConfig(every_epochs=1.0, batch_size=359),
    }
    return Config(**(settings | changes))


@functools.cache
def lenet(seed: int = 0) -> Path:
    """A finished run, right in most cases."""
    folder = Path(_FOLDER.name) / f"lenet{seed}"
    train.fit(lenet_config(seed=seed), folder)
    return folder


@functools.cache
def unet() -> Path:
    """A finished run of segmentation, hardly trained."""
    config = Config(
        task="segmentation",
        batch_size=8,
        epochs=None,
        steps=8,
        log_every_steps=4,
        num_devices=1,
        data=DataConfig(name="digit_scenes", image_size=16),
        model=ModelConfig(name="unet_bn", options={"width": 4, "levels": 2}),
        optimizer=OptimizerConfig(name="adam", learning_rate=1e-2),
        evaluation=EvaluationConfig(every_epochs=0.018, batch_size=100),  # of four steps
    )
    folder = Path(_FOLDER.name) / "unet"
    train.fit(config, folder)
    return folder


@functools.cache
def hog() -> Path:
    """A fitted baseline on the digits."""
    folder = Path(_FOLDER.name) / "hog"
    config = Config(
        data=DataConfig(name="digits", image_size=16, train_examples_per_class=20),
        model=ModelConfig(name="hog"),
    )
    classical.fit(config, folder)
    return folder
