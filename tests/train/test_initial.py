"""A run that starts from weights: of a file, of another run; resumed without them."""

import dataclasses
from functools import partial

import jax
import numpy as np
import pytest

from cnnlab.config import apply_overrides
from cnnlab.errors import UserError
from cnnlab.inference import load_run
from cnnlab.pretrained import files
from cnnlab.pretrained.convert import named_tensors, state_dict
from cnnlab.pretrained.peers import peers_of
from cnnlab.train import build_experiment, fit, load_data
from cnnlab.train.warm_start import initial_state, read_pretrained
from tests.conftest import assert_trees_equal
from tests.pretrained import torch_files

OPTIONS = {"stem": "cifar", "width": 4, "stage_sizes": (1,)}
NETWORK = {"model.name": "resnet18", "model.options": OPTIONS, "batch_size": 8, "steps": 2}
MOBILE = {"model.name": "mobilenet_v3_small", "model.options": {}, "data.image_size": 33}


@pytest.fixture
def config(tiny_config):
    return apply_overrides(tiny_config, NETWORK)


@pytest.fixture
def file(config, tmp_path):
    """A file of the network's initial weights with another seed, under torchvision's names."""
    info = load_data(config).info
    state = initial_state(build_experiment(apply_overrides(config, {"seed": 5}), info))
    naming = peers_of("resnet18", "torchvision")[0].namings[0]
    path = tmp_path / "weights.safetensors"
    files.write(path, state_dict(state.variables, named_tensors(state.variables, naming)), {})
    return state, path


def test_state_has_the_weights_of_the_file(config, file):
    other, path = file
    config = apply_overrides(config, {"model.pretrained": str(path), "optimizer.ema_decay": 0.9})
    state = initial_state(build_experiment(config, load_data(config).info))
    assert_trees_equal(state.params, other.params)
    assert_trees_equal(state.collections, other.collections)
    assert_trees_equal(state.ema_params, other.params)
    assert state.step == 0


def test_one_of_several_sets_of_weights(config, file, tmp_path):
    other, path = file
    right = files.read(path)[0]
    sets = {"model": {k: x + 1 for k, x in right.items()}, "model_ema": right}
    tree = {name: torch_files.state_dict(arrays) for name, arrays in sets.items()}
    (tmp_path / "x.pth").write_bytes(torch_files.archive(tree))
    info = load_data(config).info
    source = str(tmp_path / "x.pth")
    chosen = apply_overrides(config, {"model.pretrained": f"{source}#model_ema"})
    assert_trees_equal(initial_state(build_experiment(chosen, info)).params, other.params)
    either = apply_overrides(config, {"model.pretrained": source})
    with pytest.raises(UserError, match=r"model, model_ema: say which, e.g. '.*x.pth#model_ema'"):
        initial_state(build_experiment(either, info))


def test_resumed_run_does_not_need_the_file(config, file, tmp_path):
    other, path = file
    overrides = {"model.pretrained": str(path), "checkpoint.every_steps": 1,
                 "optimizer.learning_rate": 1e-12}  # fmt: skip
    config = apply_overrides(config, overrides)
    fit(config, tmp_path / "run")
    path.unlink()
    assert fit(config, tmp_path / "run")["steps"] == 2
    run = load_run(tmp_path / "run")
    jax.tree.map(partial(np.testing.assert_allclose, atol=1e-9), run.variables["params"],
                 other.params)  # fmt: skip


def test_missing_file_leaves_no_run_behind(config, tmp_path):
    config = apply_overrides(config, {"model.pretrained": str(tmp_path / "no.safetensors")})
    with pytest.raises(UserError, match="There is no file"):
        fit(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_file_of_another_function(config, tmp_path):
    """The names say timm, whose MobileNetV3 has another epsilon: the config must have it too."""
    path = tmp_path / "x.safetensors"
    peer = peers_of("mobilenet_v3_small", "timm")[0]
    config = apply_overrides(config, {**MOBILE, "model.pretrained": str(path)})
    experiment = build_experiment(config, load_data(config).info)
    shapes = experiment.abstract_state().variables
    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
    files.write(path, state_dict(zeros, named_tensors(zeros, peer.namings[0])), {})
    with pytest.raises(UserError, match=r"set model.options.norm_epsilon=1e-05"):
        read_pretrained(experiment)
    right = apply_overrides(config, {"model.options": {"norm_epsilon": 1e-5}})
    assert read_pretrained(build_experiment(right, experiment.info)).new == ()


def test_options_of_a_named_source_are_set(config):
    config = apply_overrides(config, {**MOBILE, "model.pretrained": "timm/mobilenetv3_small_100"})
    experiment = build_experiment(config, load_data(config).info)
    assert experiment.model.backbone.norm_epsilon == 1e-5
    wrong = apply_overrides(config, {"model.pretrained": "timm/resnet18"})
    with pytest.raises(UserError, match=r"set model.name=resnet18"):
        build_experiment(wrong, load_data(wrong).info)


@pytest.fixture
def run(config, tmp_path):
    """A finished run."""
    fit(config, tmp_path / "first")
    return load_run(tmp_path / "first"), str(tmp_path / "first")


def test_run_gives_backbone_and_head(config, run):
    trained, path = run
    config = apply_overrides(config, {"model.pretrained": path, "seed": 3})
    experiment = build_experiment(config, trained.info)
    assert_trees_equal(dict(initial_state(experiment).variables), dict(trained.variables))
    other = apply_overrides(config, {"model.name": "resnet34"})
    with pytest.raises(UserError, match=r"set model.name=resnet18"):
        initial_state(build_experiment(other, trained.info))
    options = {**OPTIONS, "activation": "silu"}
    other = apply_overrides(config, {"model.options": options})
    with pytest.raises(UserError, match=r"set model.options.activation=relu"):
        initial_state(build_experiment(other, trained.info))


def test_run_with_other_classes_gives_its_backbone(config, run):
    trained, path = run
    config = apply_overrides(config, {"model.pretrained": path, "seed": 3})
    info = dataclasses.replace(trained.info, class_names=("a", "b"))
    experiment = build_experiment(config, info)
    state = initial_state(experiment)
    assert_trees_equal(state.params["backbone"], trained.variables["params"]["backbone"])
    new = initial_state(build_experiment(apply_overrides(config, {"model.pretrained": None}), info))
    assert_trees_equal(state.params["head"], new.params["head"])


@pytest.mark.parametrize(
    ("overrides", "mean"),
    [
        ({}, None),
        ({"model.pretrained": "timm/resnet18"}, None),  # digits are gray
        ({"data.mean": (0.1,), "data.std": (0.2,)}, (0.1,)),
    ],
)
def test_statistics_of_gray_images(config, overrides, mean):
    info = load_data(config).info
    experiment = build_experiment(apply_overrides(config, overrides), info)
    assert experiment.info.mean == (mean or info.mean)


def test_statistics_of_color_images(config):
    info = dataclasses.replace(
        load_data(config).info, image_shape=(8, 8, 3), mean=(0.4,) * 3, std=(0.3,) * 3
    )
    config = apply_overrides(config, {"model.pretrained": "timm/resnet18"})
    assert build_experiment(config, info).info.mean == (0.485, 0.456, 0.406)
    images = {"image": np.full((1, 8, 8, 3), 0.485, np.float32)}
    normalised = build_experiment(config, info).normalize()(images)["image"]
    assert jax.numpy.abs(normalised[..., 0]).max() < 1e-6
    half = apply_overrides(config, {"data.mean": (0.5,) * 3, "data.std": (0.5,) * 3})
    assert build_experiment(half, info).info.std == (0.5,) * 3
    for bad, sentence in (((0.5,), "3 values"), (None, "3 values"), ((0.5, 0.5, 0.0), "greater")):
        wrong = apply_overrides(half, {"data.std": bad})
        with pytest.raises(UserError, match=sentence):
            build_experiment(wrong, info)
