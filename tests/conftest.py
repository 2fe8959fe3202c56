"""Strict settings for all tests, and the small things that many of them need."""

import os
import re
import uuid

# Before jax is imported: eight virtual devices, so that sharing work out is tested on any machine.
# Compiling takes most of the suite's time, and most programs run once or twice: most optimizations
# would cost more than they save. (At level 0, a U-Net with batch norm became NaN.)
# `.ci/run` runs the tests of the step with them, as users' programs are compiled.
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "")
    + " --xla_force_host_platform_device_count=8"
    + ("" if os.environ.get("CNNLAB_TESTS_OPTIMIZED") else " --xla_backend_optimization_level=1")
)
os.environ["JAX_PLATFORMS"] = "cpu"

import fsspec
import jax
import numpy as np
import pytest

from cnnlab import plugins
from cnnlab.config import Config, DataConfig, ModelConfig, OptimizerConfig
from cnnlab.registry import REGISTRIES

# No silent promotion of types: a float64 or an int that sneaks into a step is an error.
jax.config.update("jax_numpy_dtype_promotion", "standard")
jax.config.update("jax_enable_x64", False)


@pytest.fixture(scope="session", autouse=True)
def _compilation_cache(tmp_path_factory):
    """Compiles each program once a session, subprocesses and the workers of xdist included.

    Where `JAX_COMPILATION_CACHE_DIR` names a folder, later sessions find the programs there.
    """
    session = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        session = session.parent  # the workers' own folders lie in that of the session
    folder = os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(session / "xla"))
    os.environ["CNNLAB_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    jax.config.update("jax_compilation_cache_dir", folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


@pytest.fixture
def registered():
    """Forgets what a test registers."""
    before = [dict(registry._entries) for registry in REGISTRIES]
    executed = dict(plugins._executed)
    yield
    for registry, entries in zip(REGISTRIES, before, strict=True):
        mine = {key for key, entry in registry._entries.items() if entry.plugin is not None}
        for key in mine - entries.keys():
            del registry._entries[key]
    plugins._executed = executed
    plugins.given_plugins([])


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


def files_left(folder):
    """Names of all that lies in a folder of runs: what a killed process leaves is among them.

    A finished checkpoint is one name, since Orbax calls the files in it as it likes; event files,
    which are named after their time, are left out.
    """
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    names = {re.sub(r"(checkpoints/\d+)/.*", r"\1", name) for name in names}
    return {name for name in names if "events.out" not in name}


def assert_trees_equal(left, right):
    """Asserts that two trees hold the same numbers, bit for bit."""
    left_leaves, left_tree = jax.tree.flatten(left)
    right_leaves, right_tree = jax.tree.flatten(right)
    assert left_tree == right_tree
    for one, other in zip(left_leaves, right_leaves, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


@pytest.fixture(scope="session")
def s3_server():
    """Address of a server of S3 on this machine."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def bucket(s3_server, tmp_path, monkeypatch):
    """Address of an empty bucket on that server, and the environment to use it."""
    environment = {
        "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": s3_server,
        "AWS_CONFIG_FILE": str(tmp_path / "none"), "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
        "CNNLAB_CACHE": str(tmp_path / "cache"),
    }  # fmt: skip
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    s3 = fsspec.get_filesystem_class("s3")
    s3.clear_instance_cache()
    name = f"bucket-{uuid.uuid4().hex[:8]}"
    fsspec.filesystem("s3").mkdir(name)
    yield f"s3://{name}"
    s3.clear_instance_cache()
