"""`launch.py export`: a run's weights as a file that the other library loads with strict=True."""

import dataclasses
import json
import sys

import jax
import numpy as np
import pytest

from cnnlab.cli.commands import export as command
from cnnlab.cli.main import main
from cnnlab.config import Config, DataConfig, ModelConfig, apply_overrides
from cnnlab.data import DatasetInfo, DatasetRecord
from cnnlab.inference import load_run
from cnnlab.inference.export import export_stablehlo
from cnnlab.inference.run import TrainedRun
from cnnlab.pretrained import files, load
from cnnlab.train import build_experiment, fit
from cnnlab.train.checkpoints.writer import CheckpointWriter
from cnnlab.train.runtime.workdir import Workdir
from tests.conftest import assert_trees_equal
from tests.pretrained.peer_networks import libraries, logits_of


def launch(*arguments):
    return main(["launch.py", *arguments])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A MobileNetV3 for images in color, with random numbers for what training would change."""
    folder = Workdir(tmp_path_factory.mktemp("export") / "run")
    overrides = {
        "data.name": "folder:images", "model.name": "mobilenet_v3_small", "epochs": None,
        "steps": 1, "batch_size": 4, "num_devices": 1,
    }  # fmt: skip
    config = apply_overrides(Config(), overrides)
    mean, std = (0.5, 0.4, 0.3), (0.25, 0.2, 0.15)
    sizes = {"train": 20, "test": 10}
    info = DatasetInfo("folder:images", ("cat", "dog"), (33, 33, 3), sizes, mean, std)
    experiment, rng = build_experiment(config, info), np.random.default_rng(0)

    def changed(leaf):
        if not jax.numpy.issubdtype(leaf.dtype, jax.numpy.floating):
            return leaf
        return np.asarray(leaf) + rng.uniform(0.0, 0.1, leaf.shape).astype(leaf.dtype)

    folder.create()
    folder.start(config, DatasetRecord(info), [])
    state = jax.tree.map(changed, experiment.create_state())
    with CheckpointWriter(folder.path) as writer:
        writer.save(1, {"state": state, "metrics": experiment.zero_metrics()}, metric=0.5)
    return folder.path


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
    model = trained.experiment.model
    ours = jax.jit(lambda v, x: model.apply(v, x, train=False))(trained.variables, images)
    theirs = logits_of(network, images)
    np.testing.assert_allclose(ours, theirs, atol=1e-4 * np.abs(theirs).max())


@pytest.mark.peer
def test_segmentation_models_pytorch_loads_what_is_written(tmp_path, capsys, monkeypatch):
    """With the very lines that are printed; of a network that has learned nothing yet."""
    libraries()
    names = {"smp": pytest.importorskip("segmentation_models_pytorch")}
    pytest.importorskip("safetensors.torch")
    overrides = {"task": "segmentation", "model.name": "encoder_unet",
                 "model.options": {"encoder": "vgg11", "widths": (16, 16, 16, 16, 8)}}  # fmt: skip
    ones = (1.0,) * 3
    info = DatasetInfo("scenes", ("a", "b", "c"), (32, 32, 3), {"train": 9}, ones, ones)
    experiment = build_experiment(apply_overrides(Config(), overrides), info)
    shapes = experiment.abstract_state().variables
    variables = jax.tree.map(lambda leaf: np.full(leaf.shape, 0.5, leaf.dtype), shapes)
    trained = TrainedRun(experiment, variables, 7, DatasetRecord(info))
    monkeypatch.setattr(command, "load_run", lambda *_: trained)
    arguments = ["export", "--workdir=run", f"--out={tmp_path}/x.safetensors"]
    assert launch(*arguments) == 1
    assert (
        "torchvision has no network like encoder_unet: use --naming=smp" in capsys.readouterr().err
    )
    assert launch(*arguments, "--naming=smp") == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert "weights of step 7, under the names of smp/unet-vgg11" in first
    exec("import safetensors.torch\n" + "\n".join(map(str.strip, lines)), names)
    assert names["model"].segmentation_head[0].weight.shape == (3, 8, 3, 3)
    assert all(bool((x == 0.5).all()) for x in names["model"].parameters())


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


def test_stablehlo_gives_the_same_probabilities(run, tmp_path, capsys):
    path = tmp_path / "x.stablehlo"
    assert launch("export", f"--workdir={run}", "--format=stablehlo", f"--out={path}") == 0
    out = capsys.readouterr().out
    assert "cpu, cuda, rocm, tpu" in out and "uint8[batch,33,33,3]" in out.replace("u8[", "uint8[")
    images = np.random.default_rng(1).integers(0, 256, (3, 33, 33, 3), np.uint8)
    found = jax.export.deserialize(bytearray(path.read_bytes())).call(images)
    np.testing.assert_allclose(found, load_run(run).probabilities(images), atol=1e-5)


def test_stablehlo_of_a_small_network_holds_plain_convolutions(tmp_path, tiny_config):
    """And neither the forms for CPUs nor anything that only this machine has."""
    config = dataclasses.replace(tiny_config, steps=1, model=ModelConfig("lenet_relu"))
    config = dataclasses.replace(config, data=DataConfig("digits", image_size=28))
    fit(config, tmp_path)
    program = export_stablehlo(load_run(tmp_path, "latest"), batch_size=2, platforms=["cuda"])
    text = program.mlir_module()
    assert text.count("= stablehlo.convolution(") == 2
    assert text.count('= "stablehlo.reduce_window"(') == 2
    assert program.in_avals[0].shape == (2, 28, 28, 1)


@pytest.mark.peer
def test_onnx_runtime_gives_the_same_probabilities(tmp_path, tiny_config, capsys):
    pytest.importorskip("jax2onnx", reason="jax2onnx is not installed")
    runtime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    config = dataclasses.replace(tiny_config, steps=1, model=ModelConfig("lenet_relu"))
    config = dataclasses.replace(config, data=DataConfig("digits", image_size=28))
    fit(config, tmp_path / "run")
    path = tmp_path / "x.onnx"
    assert launch("export", f"--workdir={tmp_path}/run", "--format=onnx", f"--out={path}") == 0
    assert "differ from the network's by at most" in capsys.readouterr().out
    images = np.random.default_rng(1).integers(0, 256, (5, 28, 28, 1), np.uint8)
    session = runtime.InferenceSession(str(path))
    (found,) = session.run(None, {session.get_inputs()[0].name: images})
    expected = load_run(tmp_path / "run").probabilities(images)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_without_a_converter_onnx_is_one_sentence(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "jax2onnx", None)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    path = tmp_path / "x.onnx"
    assert launch("export", f"--workdir={run}", "--format=onnx", f"--out={path}") == 1
    error = capsys.readouterr().err
    assert "pip install 'cnnlab[onnx]' and then pip install --no-deps 'jax2onnx" in error
    assert not path.exists()
