"""Runs and data that the tests of the analysis share."""

import pytest

from cnnlab import classical, inference
from cnnlab.data import load
from tests import trained_runs


@pytest.fixture(scope="session")
def lenet():
    """A LeNet on digits of 14x14."""
    return inference.load_run(trained_runs.lenet())


@pytest.fixture(scope="session")
def unet():
    """A U-Net on scenes of 16x16, hardly trained."""
    return inference.load_run(trained_runs.unet())


@pytest.fixture(scope="session")
def hog():
    """Histograms of gradients with logistic regression, on digits of 16x16."""
    return classical.load_run(trained_runs.hog())


@pytest.fixture(scope="session")
def digits():
    """The test split of the digits, as the network of `lenet` takes them."""
    return load("digits", image_size=14).splits["test"]


@pytest.fixture(scope="session")
def scenes():
    """The test split of the scenes, as the network of `unet` takes them."""
    return load("digit_scenes", task="segmentation", image_size=16).splits["test"]
