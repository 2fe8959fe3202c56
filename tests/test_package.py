"""The package as a whole: every module imports, imports run one way, every experiment trains."""

import ast
import importlib
import pkgutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import cnnlab
from cnnlab import classical
from cnnlab.config import apply_overrides, experiment_names, load_experiment, validate
from cnnlab.data import ArraySource, Dataset, DatasetInfo
from cnnlab.models.catalog import BASELINES
from cnnlab.train import build_experiment
from cnnlab.train.runtime.devices import make_parallel
from tests.marks import exhaustive, slow

ROOT = Path(cnnlab.__file__).parent
MODULES = [m.name for m in pkgutil.walk_packages([str(ROOT)], "cnnlab.")]


@pytest.mark.parametrize("name", MODULES)
def test_module_imports_and_says_what_it_is(name):
    module = importlib.import_module(name)
    empty = not Path(module.__file__).read_text().strip()
    assert module.__doc__ or empty


# What each package may import; everything may import arrays, errors, plugins, program, registry,
# storage, tracing and units.
ALLOWED = {
    "errors": set(),
    "config": set(),
    "nn": set(),
    "models": {"nn"},
    "data": {"config"},
    "tasks": {"config"},
    "pretrained": {"models", "nn"},
    "train": {"config", "data", "inference", "models", "nn", "pretrained", "tasks"},
    "inference": {"config", "data", "models", "nn", "tasks", "train"},
    "classical": {"config", "data", "inference", "models", "tasks", "train"},
    "analysis": {"config", "data", "inference", "models", "nn", "tasks", "train"},
    "course": {
        "analysis",
        "classical",
        "data",
        "inference",
        "models",
        "nn",
        "report",
        "tasks",
        "train",
    },
    "report": {"analysis", "config", "data", "inference", "models", "tasks", "train"},
    "sweep": {
        "classical",
        "config",
        "data",
        "inference",
        "models",
        "nn",
        "report",
        "tasks",
        "train",
    },
}


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_run_one_way(package):
    files = [ROOT / "errors.py"] if package == "errors" else (ROOT / package).rglob("*.py")
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            module = getattr(node, "module", None) or ""
            if isinstance(node, ast.ImportFrom) and module.startswith("cnnlab."):
                imported = module.split(".")[1]
                common = {
                    "arrays", "errors", "notebook", "plugins", "program", "registry", "storage",
                    "tracing", "units", "visible",
                }  # fmt: skip
                allowed = ALLOWED[package] | {package} | common
                assert imported in allowed, f"{path}: {module}"


def stand_in(config, record=None):
    """Random images of the shape that the experiment's data set has."""
    name = config.data.name
    shapes = {
        "digits": (28, 1),
        "digit_pairs": (28, 1),
        "mnist": (28, 1),
        "fashion_mnist": (28, 1),
        "cifar10": (32, 3),
        "imagenet2012": (64, 3),
        "folder:images": (64, 3),
        "digit_scenes": (64, 1),
        "oxford_iiit_pet": (128, 3),
    }
    side, channels = shapes[name]
    side = config.data.image_size or side
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, side, side, channels), np.uint8)
    if config.task == "segmentation":
        labels = rng.integers(0, 10, (40, side, side)).astype(np.uint8)
    elif config.task == "multilabel":
        labels = rng.integers(0, 2, (40, 10))
    else:
        labels = rng.integers(0, 10, 40)
    source = ArraySource(images, labels)
    info = DatasetInfo(name, tuple("0123456789"), (side, side, channels), {"train": 40_000},
                       (0.5,) * channels, (0.25,) * channels)  # fmt: skip
    return Dataset(info, {"train": source, "test": source})


EXPERIMENTS = {name: load_experiment(name).model.name in BASELINES for name in experiment_names()}


@pytest.mark.parametrize("name", [name for name, baseline in EXPERIMENTS.items() if baseline])
def test_classical_experiment_is_fitted(name, tmp_path, monkeypatch):
    """With its own features and classifier, on random images: it learns those by heart."""
    config = load_experiment(name)
    monkeypatch.setattr("cnnlab.classical.fitting.load_data", stand_in)
    result = classical.fit(config, tmp_path)
    assert result["steps"] >= 2
    assert result["test"]["accuracy"] > 0.9  # the stand-in tests on what it trains on


NETWORKS = [name for name, baseline in EXPERIMENTS.items() if not baseline]


def experiment_of(name):
    """An experiment with a small batch, and random images for it.

    Weights that it starts from are left out: they are another run's, or not on this machine.
    """
    overrides = {"batch_size": 4, "model.pretrained": None}
    config = apply_overrides(load_experiment(name), overrides)
    validate(config)
    dataset = stand_in(config)
    return build_experiment(config, dataset.info), dataset


@pytest.mark.parametrize("name", NETWORKS)
def test_experiment_has_a_step(name):
    """With its own network, augmentation and optimizer; traced alone."""
    experiment, _ = experiment_of(name)
    shapes = experiment.abstract_state()
    after, sums = jax.eval_shape(experiment.train_step(), shapes, experiment.abstract_batch())
    assert jax.tree.map(jnp.shape, after) == jax.tree.map(jnp.shape, shapes)
    assert sums["loss"].shape == ()


# Those that compile quickly; the others are traced by default. The slow tests compile one of each
# task, and the exhaustive ones all.
QUICK = {"lenet_digits", "mlp_digits"}
SOME = {"unet_digit_scenes", "multilabel_digit_pairs", "resnet18_cifar10", "finetune_folder"}


@pytest.mark.parametrize(
    "name",
    [n if n in QUICK else slow(n) if n in SOME else exhaustive(n) for n in NETWORKS],
)
def test_experiment_trains_two_steps(name):
    """On a small batch; steps of very deep networks compile for minutes and are traced alone."""
    experiment, dataset = experiment_of(name)
    if len(jax.tree.leaves(experiment.abstract_state().params)) > 150:
        pytest.skip("very deep: its step is traced by test_experiment_has_a_step")
    parallel = make_parallel("jit", 1)
    step = parallel.compile_train(
        lambda state, batch, hparams: experiment.train_step()(state, batch, hparams)[0]
    )
    source = dataset.splits["train"]
    state = experiment.create_state()
    before = jax.device_get(state.params)
    for _ in range(2):
        batch = {
            "image": source.images[:4],
            "label": source.labels[:4],
            "mask": np.ones(4, np.float32),
        }
        state = step(state, batch, {})
    assert int(state.step) == 2
    for old, new in zip(jax.tree.leaves(before), jax.tree.leaves(state.params), strict=True):
        assert np.isfinite(new).all()
        if old.ndim > 1:
            assert np.abs(new - old).max() > 0


def test_experiment_says_what_it_is():
    for name, path in experiment_names().items():
        assert ast.get_docstring(ast.parse(path.read_text())), name
