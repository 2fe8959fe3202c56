"""From one run to the next: another number of classes and channels, a new head, a frozen rest."""

import jax
import numpy as np
import pytest
from PIL import Image

from cnnlab.config import Config, DataConfig, ModelConfig, apply_overrides
from cnnlab.inference import load_run
from cnnlab.train import fit
from cnnlab.train.experiment import build_experiment
from cnnlab.train.run_data import load_data
from cnnlab.train.warm_start import initial_state
from tests.conftest import assert_trees_equal
from tests.train.test_loop import Quiet

OPTIONS = {"stem": "cifar", "width": 4, "stage_sizes": (1,)}


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    """A run of two steps on gray digits."""
    config = Config(
        batch_size=8,
        epochs=None,
        steps=2,
        num_devices=1,
        data=DataConfig(name="digits", image_size=8),
        model=ModelConfig(name="resnet18", options=OPTIONS),
    )
    folder = tmp_path_factory.mktemp("backbone") / "run"
    fit(config, folder, callbacks=[Quiet()])
    return config, folder


def test_color_images_of_three_classes(backbone, tmp_path):
    config, source = backbone
    rng = np.random.default_rng(0)
    for name in "abc":
        for number in range(4):
            path = tmp_path / "images" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(path)
    config = apply_overrides(
        config,
        {
            "batch_size": 4,
            "data.name": f"folder:{tmp_path}/images",
            "data.validation_fraction": 0.0,
            "model.pretrained": str(source),
            "finetune.freeze_backbone": True,
            "finetune.freeze_batch_stats": True,
            "optimizer.weight_decay": 0.1,
        },
    )
    fit(config, tmp_path / "run", callbacks=[Quiet()])
    before, after = load_run(source).variables, load_run(tmp_path / "run").variables
    assert after["params"]["head"]["logits"]["kernel"].shape == (4, 3)
    old, new = (dict(variables["params"]["backbone"]) for variables in (before, after))
    # One gray channel became three, of a third each.
    kernel = old.pop("stem_conv")["kernel"]
    adapted = new.pop("stem_conv")["kernel"]
    np.testing.assert_allclose(adapted, np.repeat(kernel, 3, axis=2) / 3, rtol=1e-6)
    assert_trees_equal(old, new)
    assert_trees_equal(before["batch_stats"], after["batch_stats"])


@pytest.mark.parametrize("new_head", [False, True])
def test_new_head_for_as_many_classes(backbone, new_head):
    config, source = backbone
    config = apply_overrides(
        config, {"model.pretrained": str(source), "finetune.new_head": new_head}
    )
    experiment = build_experiment(config, load_data(config).info)
    state, trained = initial_state(experiment), load_run(source).variables["params"]
    assert_trees_equal(state.params["backbone"], trained["backbone"])
    plain = build_experiment(apply_overrides(config, {"model.pretrained": None}), experiment.info)
    expected = initial_state(plain).params["head"] if new_head else trained["head"]
    assert_trees_equal(jax.device_get(state.params["head"]), jax.device_get(expected))
