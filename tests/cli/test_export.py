"""`launch.py export`: a run's weights as a file that the other library loads with strict=True."""

import json

import jax
import numpy as np
import pytest
from PIL import Image

from cnnlab.cli.main import main
from cnnlab.pretrained import files, load
from cnnlab.train import load_run
from tests.conftest import assert_trees_equal
from tests.pretrained.peer_networks import libraries, logits_of


def launch(*arguments):
    return main(["launch.py", *arguments])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A MobileNetV3 trained for a step on images in color."""
    folder = tmp_path_factory.mktemp("export")
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        for number in range(10):
            path = folder / "images" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (33, 33, 3), np.uint8)).save(path)
    arguments = [
        f"--config.data.name=folder:{folder}/images", "--config.data.validation_fraction=0",
        "--config.model.name=mobilenet_v3_small", "--config.epochs=none", "--config.steps=1",
        "--config.batch_size=4", "--config.num_devices=1",
    ]  # fmt: skip
    assert launch("train", *arguments, f"--workdir={folder}/run") == 0
    return folder / "run"


def test_file_holds_the_run(run, tmp_path, capsys):
    path = tmp_path / "x.safetensors"
    assert launch("export", f"--workdir={run}", f"--out={path}") == 0
    out = capsys.readouterr().out
    assert 'torchvision.models.get_model("mobilenet_v3_small", num_classes=2)' in out
    trained = load_run(run)
    _, metadata = files.read(path)
    assert metadata["architecture"] == "torchvision/mobilenet_v3_small"
    assert json.loads(metadata["class_names"]) == ["cat", "dog"]
    assert json.loads(metadata["mean"]) == pytest.approx(trained.info.mean)
    assert_trees_equal(load(str(path)).variables, dict(trained.variables))


@pytest.mark.peer
def test_other_library_gives_the_same_logits(run, tmp_path):
    safetensors_torch = pytest.importorskip("safetensors.torch")
    _, torchvision, _, _ = libraries()
    path = tmp_path / "x.safetensors"
    assert launch("export", f"--workdir={run}", f"--out={path}") == 0
    network = torchvision.models.get_model("mobilenet_v3_small", num_classes=2).eval()
    network.load_state_dict(safetensors_torch.load_file(path), strict=True)
    images = np.random.default_rng(0).normal(size=(3, 33, 33, 3)).astype(np.float32)
    trained = load_run(run)
    model = trained.setup.model
    ours = jax.jit(lambda v, x: model.apply(v, x, train=False))(trained.variables, images)
    theirs = logits_of(network, images)
    np.testing.assert_allclose(ours, theirs, atol=1e-4 * np.abs(theirs).max())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--naming=timm"], "has norm_epsilon=0.001 and not 1e-05"),
        (["--naming=keras"], "Unknown naming 'keras'"),
        (["--format=onnx"], "--format"),
        (["--out=x.bin"], "must end in .safetensors"),
        (["--checkpoint=last"], "must be best, latest or a step"),
        (["--out="], "--out must be set"),
    ],
)
def test_mistakes(run, arguments, sentence, capsys, tmp_path):
    out = f"--out={tmp_path}/x.safetensors"
    assert launch("export", f"--workdir={run}", out, *arguments) == 1
    captured = capsys.readouterr()
    assert sentence in captured.err
    assert captured.err.startswith("error: ")
