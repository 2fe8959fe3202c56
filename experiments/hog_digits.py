"""HOG features with logistic regression on the embedded digits, to compare the networks with.

Test accuracy 99.72 % (no randomness, so one run) on 359 test images, in 7 s on a 2-core CPU that
was busy with other work:

    python launch.py train --config=hog_digits

The penalty, C=0.01, is the smallest of 0.001, 0.01, ..., 100 with the best accuracy on the
validation split (99.30 %); greater ones are no better.
"""

from cnnlab.config import Config, DataConfig, ModelConfig


def get_config() -> Config:
    return Config(data=DataConfig(name="digits"), model=ModelConfig(name="hog"))
