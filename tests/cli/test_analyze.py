"""`launch.py analyze`: every kind, on runs of every kind, and one sentence for each mistake."""

import json
import re
import shutil
import types

import numpy as np
import pytest
from PIL import Image

from cnnlab.cli.analyses import KINDS
from cnnlab.cli.analyses.request import Request
from cnnlab.cli.flags import analyze
from cnnlab.cli.main import main
from tests import trained_runs

FEW = {"robustness": "60", "tsne": "40", "pca": "40", "shift_consistency": "30", "statistics": "8"}


def launch(*arguments):
    return main(["launch.py", "analyze", *map(str, arguments)])


def last_json(capsys):
    return json.loads(capsys.readouterr().out.strip().splitlines()[-1])


def analyzed(kind, run, tmp_path, capsys, *more):
    """Runs one kind, and returns what it tells and the arrays that it wrote."""
    out, arrays = tmp_path / f"{kind}.png", tmp_path / f"{kind}.npz"
    examples = [f"--examples={FEW[kind]}"] if kind in FEW else []
    assert launch(kind, f"--workdir={run}", f"--out={out}", f"--arrays={arrays}", "--json",
                  *examples, *more) == 0  # fmt: skip
    told = last_json(capsys)
    assert told["picture"] == str(out)
    with Image.open(out) as image:
        assert min(image.size) > 60
    return told, np.load(arrays)


def test_help_tells_every_kind():
    for kind in (*KINDS, "curves"):
        assert re.search(rf"^  (pca, )?{kind}\b", analyze.__doc__, flags=re.M), kind


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_on_a_network(kind, tmp_path, capsys):
    told, arrays = analyzed(kind, trained_runs.lenet(), tmp_path, capsys)
    assert told["kind"] == kind
    assert len(arrays.files) >= 1
    for name in arrays.files:
        assert arrays[name].dtype != object


@pytest.mark.parametrize("kind", ["filters", "feature_maps", "statistics", "grad_cam", "occlusion",
                                  "mistakes", "confusion"])  # fmt: skip
def test_kinds_on_segmentation(kind, tmp_path, capsys):
    told, arrays = analyzed(kind, trained_runs.unet(), tmp_path, capsys)
    assert told["kind"] == kind
    if kind == "confusion":
        assert arrays["confusion"].shape == (11, 11)
    if kind == "mistakes":
        shares = list(told["worst_images"].values())
        assert shares == sorted(shares, reverse=True)


@pytest.mark.parametrize("kind", ["occlusion", "pca", "mistakes", "calibration"])
def test_kinds_on_a_baseline(kind, tmp_path, capsys):
    analyzed(kind, trained_runs.hog(), tmp_path, capsys)


def test_examples_are_named_by_their_files():
    paths = {"test": [f"test/{i}/{i}.png" for i in range(10)]}
    data = types.SimpleNamespace(splits={"test": range(10)}, paths=paths)
    request = Request("mistakes", None, [], "test", 5, None, None, 2)
    vars(request)["data"] = data
    assert request.names([0, 3]) == ["test/0/0.png", "test/6/6.png"]  # of every other one
    data.paths = None
    assert request.names([0, 3]) == ["0", "6"]


def test_numbers_agree_with_the_evaluation(tmp_path, capsys):
    run = trained_runs.lenet()
    accuracy = json.loads((run / "result.json").read_text())["test"]["accuracy"]
    told, arrays = analyzed("mistakes", run, tmp_path, capsys)
    assert 1 - told["mistakes"] / told["examples"] == pytest.approx(accuracy)
    assert arrays["probabilities"].shape == (359, 10)
    assert [int(name) for name in told["surest"]] == arrays["mistakes"].tolist()
    assert all(one["class"] != one["answer"] for one in told["surest"].values())
    told, arrays = analyzed("confusion", run, tmp_path, capsys)
    np.testing.assert_array_equal(arrays["confusion"], np.load(run / "confusion_matrix.npy"))
    most = told["most_confused"][0]
    assert most[2] == (arrays["confusion"] - np.diag(np.diag(arrays["confusion"]))).max()
    told, _ = analyzed("calibration", run, tmp_path, capsys)
    assert told["ece"] > 0
    assert told["temperature"] is None or told["nll_scaled"] < 2 * told["nll"]


def test_images_and_target(tmp_path, capsys):
    paths = [tmp_path / "one.png", tmp_path / "two.png"]
    for number, path in enumerate(paths):
        pixels = np.random.default_rng(number).integers(0, 255, (20, 30, 3), np.uint8)
        Image.fromarray(pixels).save(path)
    told, arrays = analyzed("grad_cam", trained_runs.lenet(), tmp_path, capsys, *paths,
                            "--target=3", "--layer=backbone/conv1")  # fmt: skip
    assert len(told["images"]) == 2
    assert all(caption.startswith("3: ") for caption in told["images"])
    assert arrays["maps"].shape == (2, 14, 14)


def test_default_place_and_lines_for_a_person(tmp_path, capsys):
    run = shutil.copytree(trained_runs.lenet(), tmp_path / "run")
    assert launch("filters", f"--workdir={run}") == 0
    out = capsys.readouterr().out
    assert f"filters: {run}/analysis/filters.png" in out
    assert "backbone/conv1" in out
    assert (run / "analysis" / "filters.png").is_file()
    assert launch("confusion", f"--workdir={run}", f"--out={tmp_path}/c.svg") == 0
    assert " as " in capsys.readouterr().out
    assert (tmp_path / "c.svg").read_text().startswith("<?xml")


def test_curves(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = [trained_runs.lenet(0), trained_runs.lenet(1), trained_runs.unet()]
    assert launch("curves", *folders, "--json") == 0
    told = last_json(capsys)
    ends = told["validation accuracy at the end"]
    assert ends["lenet_relu on digits"]["runs"] == 2
    assert (tmp_path / "curves.png").is_file()
    assert launch("curves", trained_runs.lenet(0), f"--out={tmp_path}/one.png") == 0
    assert "train loss at the end" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "analyze needs a kind"),
        (["gradcam"], "There is no analysis 'gradcam'. Did you mean 'grad_cam'"),
        (["filters"], "--workdir must be set"),
        (["filters", "--workdir=nowhere"], "There is no run in nowhere"),
        (["curves"], "needs the folders of runs"),
        (["curves", "nowhere"], "There is no run in nowhere"),
        (["curves", "HOG"], "There are no curves in"),
        (["filters", "--workdir=LENET", "x.png"], "filters uses a split of the data"),
        (["filters", "--workdir=LENET", "--layer=x"], "--layer is for feature_maps"),
        (["filters", "--workdir=LENET", "--out=x.txt"], "its ending must be one of"),
        (["filters", "--workdir=LENET", "--out=nowhere/x.png"], "there is no folder 'nowhere'"),
        (["filters", "--workdir=LENET", "--arrays=x.npy"], "its ending must be .npz"),
        (["grad_cam", "--workdir=LENET", "nothing.png"], "There is no image 'nothing.png'"),
        (["grad_cam", "--workdir=LENET", "--split=test", "x.png"], "and not both"),
        (["grad_cam", "--workdir=LENET", "--split=tset"], "Did you mean 'test'"),
        (["grad_cam", "--workdir=LENET", "--target=10"], "there is no class '10'"),
        (["grad_cam", "--workdir=LENET", "--layer=backbone/conv"], "Did you mean 'backbone/conv"),
        (["grad_cam", "--workdir=LENET", "--layer=head/dense1"], "returns 120 numbers per image"),
        (["feature_maps", "--workdir=LENET", "a.png", "b.png"], "shows one image, and 2 are given"),
        (
            ["filters", "--workdir=HOG"],
            "'hog' is a classical baseline, but filters needs a network",
        ),
        (["calibration", "--workdir=UNET"], "calibration is for classification"),
        (["shift_consistency", "--workdir=UNET"], "shift_consistency is for classification"),
        (["tsne", "--workdir=LENET", "--examples=3"], "needs at least 4 examples, and there are 3"),
    ],
)
def test_mistakes(arguments, sentence, capsys):
    places = {"LENET": trained_runs.lenet, "HOG": trained_runs.hog, "UNET": trained_runs.unet}
    filled = []
    for argument in arguments:
        for word, place in places.items():
            if word in argument:
                argument = argument.replace(word, str(place()))
        filled.append(argument)
    assert launch(*filled) == 1
    *told, error = capsys.readouterr().err.strip().splitlines()
    assert all(line.startswith("data: ") for line in told)  # how the data were understood
    assert sentence in error
    assert error.startswith("error: ")


def test_grad_cam_of_a_network_without_maps(tmp_path, capsys):
    run = tmp_path / "mlp"
    assert main(["launch.py", "train", "--config=mlp_digits", "--config.epochs=none",
                 "--config.steps=2", "--config.data.image_size=8", "--config.num_devices=1",
                 f"--workdir={run}"]) == 0  # fmt: skip
    assert launch("grad_cam", f"--workdir={run}") == 1
    assert "needs feature maps with positions" in capsys.readouterr().err
    analyzed("filters", run, tmp_path, capsys)
    analyzed("feature_maps", run, tmp_path, capsys)
