"""Strict settings for all tests, and the small things that many of them need."""

import os

# Before jax is imported: eight virtual devices, so that sharing work out is tested on any machine.
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
)
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import numpy as np
import pytest

from cnnlab.config import Config, DataConfig, ModelConfig, OptimizerConfig

# No silent promotion of types: a float64 or an int that sneaks into a step is an error.
jax.config.update("jax_numpy_dtype_promotion", "standard")
jax.config.update("jax_enable_x64", False)


@pytest.fixture(scope="session", autouse=True)
def _compilation_cache(tmp_path_factory):
    """Compiles each program once a session, subprocesses included."""
    folder = str(tmp_path_factory.mktemp("xla"))
    os.environ["JAX_COMPILATION_CACHE_DIR"] = folder
    os.environ["CNNLAB_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    jax.config.update("jax_compilation_cache_dir", folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


@pytest.fixture
def rng():
    return jax.random.key(0)


@pytest.fixture
def tiny_config():
    """A run of 20 small steps on one device: an MLP on the digits."""
    return Config(
        batch_size=32,
        epochs=None,
        steps=20,
        log_every_steps=5,
        num_devices=1,
        data=DataConfig(name="digits", image_size=8),
        model=ModelConfig(name="mlp", options={"hidden": (16,), "dropout_rate": 0.1}),
        optimizer=OptimizerConfig(learning_rate=0.1, options={"momentum": 0.9}),
    )


def assert_trees_equal(left, right):
    """Asserts that two trees hold the same numbers, bit for bit."""
    left_leaves, left_tree = jax.tree.flatten(left)
    right_leaves, right_tree = jax.tree.flatten(right)
    assert left_tree == right_tree
    for one, other in zip(left_leaves, right_leaves, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
