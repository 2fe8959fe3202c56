"""`launch.py features`: a run's features, or a pretrained network's, as a file."""

import json

import numpy as np
import pytest
from PIL import Image

from cnnlab.cli.main import main

TINY = [
    "--config=mlp_digits", "--config.epochs=none", "--config.steps=2", "--config.num_devices=1",
    "--config.data.image_size=8", "--config.model.options.hidden=(6,)",
]  # fmt: skip


def launch(*arguments):
    return main(["launch.py", *arguments])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run of two steps."""
    workdir = tmp_path_factory.mktemp("features") / "run"
    assert launch("train", *TINY, f"--workdir={workdir}") == 0
    return workdir


def test_of_a_split(run, tmp_path, capsys):
    out = tmp_path / "x.npz"
    assert launch("features", f"--workdir={run}", "--split=validation", f"--out={out}", "--maps",
                  "--json") == 0  # fmt: skip
    printed = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert printed == {
        "out": str(out),
        "shapes": {"embedding": [143, 6], "stride0": [143, 1, 1, 6]},
    }
    with np.load(out) as file:
        assert np.bincount(file["label"]).min() > 10
        np.testing.assert_array_equal(file["embedding"], file["stride0"][:, 0, 0])


def test_of_images(run, tmp_path, capsys):
    paths = [str(tmp_path / f"{name}.png") for name in "ab"]
    for seed, path in enumerate(paths):
        pixels = np.random.default_rng(seed).integers(0, 255, (20, 30, 3), np.uint8)
        Image.fromarray(pixels).save(path)
    assert launch("features", f"--workdir={run}", f"--out={tmp_path}/x.npz", *paths) == 0
    assert "embedding  2x6" in capsys.readouterr().out
    with np.load(tmp_path / "x.npz") as file:
        assert file["path"].tolist() == paths
        assert (file["embedding"][0] != file["embedding"][1]).any()


def test_of_a_pretrained_network_without_training(run, tmp_path, capsys):
    """The weights of the run, read as a source, give what the run gives."""
    assert launch("features", f"--workdir={run}", f"--out={tmp_path}/run.npz") == 0
    assert launch(
        "features", *TINY, f"--config.model.pretrained={run}", f"--out={tmp_path}/source.npz"
    ) == 0  # fmt: skip
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["data", "data"]
    with np.load(tmp_path / "run.npz") as one, np.load(tmp_path / "source.npz") as other:
        np.testing.assert_allclose(one["embedding"], other["embedding"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "set either --workdir, for that of a run, or --config"),
        (["--workdir=RUN", "--config=mlp_digits"], "set either --workdir"),
        (["--config=mlp_digits"], "has random weights: set --config.model.pretrained"),
        (["--workdir=RUN", "--split=tset"], "has no such split. Did you mean 'test'?"),
        (["--workdir=RUN", "--split=test", "a.png"], "either --split=test or images"),
        (["--workdir=RUN", "no.png"], "There is no image 'no.png'"),
        (["--workdir=RUN", "--out=no/x.npz"], "there is no folder 'no'"),
        (["--workdir=nowhere"], "There is no run in nowhere"),
    ],
)
def test_mistakes(run, capsys, arguments, sentence):
    arguments = [argument.replace("RUN", str(run)) for argument in arguments]
    assert launch("features", *arguments) == 1
    *told, error = capsys.readouterr().err.strip().splitlines()
    assert all(line.startswith("data: ") for line in told)  # how the data were understood
    assert sentence in error
    assert error.startswith("error: ")
