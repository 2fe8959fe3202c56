"""`launch.py train`, `eval` and `predict` of a segmentation run."""

import csv
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from cnnlab.cli.main import main
from cnnlab.report.palette import make_palette

TINY = [
    "--config.task=segmentation", "--config.data.name=digit_scenes", "--config.data.image_size=16",
    "--config.model.name=unet_bn", "--config.model.options.width=4",
    "--config.model.options.levels=2", "--config.epochs=none", "--config.steps=4",
    "--config.batch_size=4", "--config.num_devices=1", "--config.evaluation.batch_size=200",
]  # fmt: skip


def launch(*arguments):
    return main(["launch.py", *arguments])


def last_json(capsys):
    return json.loads(capsys.readouterr().out.strip().splitlines()[-1])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run of four steps."""
    workdir = tmp_path_factory.mktemp("segmentation") / "run"
    assert launch("train", *TINY, f"--workdir={workdir}") == 0
    return workdir


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.jpg"
    pixels = np.random.default_rng(0).integers(0, 255, (40, 70, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def test_train_draws(run):
    for name in ("predictions", "confusion_matrix", "class_scores"):
        with Image.open(run / f"{name}.png") as image:
            assert min(image.size) > 200


def test_eval(run, capsys):
    assert launch("eval", f"--workdir={run}", "--json") == 0
    numbers = last_json(capsys)
    rows = numbers["per_class"]
    assert len(rows) == 11
    ious = [row["iou"] for row in rows.values() if row["iou"] is not None]
    assert numbers["miou"] == pytest.approx(np.mean(ious))
    assert launch("eval", f"--workdir={run}") == 0
    out = capsys.readouterr().out
    for word in ("iou", "dice", "accuracy", "precision", "background"):
        assert word in out


@pytest.mark.parametrize("options", [[], ["--tile=32"], ["--tile=16", "--overlap=4", "--tta"]])
def test_predict(run, photo, tmp_path, capsys, options):
    out = tmp_path / "new" / "out"
    arguments = ["predict", f"--workdir={run}", str(photo), f"--out={out}", *options]
    assert launch(*arguments, "--json") == 0
    (prediction,) = last_json(capsys)["predictions"]
    assert prediction["image"] == str(photo)
    with Image.open(prediction["labels"]) as image:
        assert (image.mode, image.size) == ("P", (70, 40))
        labels = np.asarray(image)
        np.testing.assert_array_equal(np.asarray(image.convert("RGB")), make_palette()[labels])
    with Image.open(prediction["overlay"]) as image:
        assert (image.mode, image.size) == ("RGB", (70, 40))
    names = ["background", *map(str, range(10))]
    shares = {names[i]: (labels == i).mean() for i in np.unique(labels)}
    assert prediction["shares"] == pytest.approx(shares, abs=1e-6)
    assert list(prediction["shares"].values()) == sorted(prediction["shares"].values())[::-1]
    assert launch(*arguments) == 0
    line = capsys.readouterr().out.strip()
    assert line.startswith(f"{photo} -> {out}/photo.png: ")
    assert all(f"{name} {100 * share:.1f} %" in line for name, share in shares.items())


def test_predict_keeps_the_folders_of_a_folder(run, photo, tmp_path, capsys):
    """Images of one name in two folders; the table has the share of every class."""
    images, out, table = tmp_path / "images", tmp_path / "out", tmp_path / "shares.csv"
    for patient in ("p1", "p2"):
        (images / patient).mkdir(parents=True)
        shutil.copy(photo, images / patient / "scan.jpg")
    arguments = ["predict", f"--workdir={run}", str(images), f"--out={out}", f"--table={table}"]
    assert launch(*arguments, "--json") == 0
    predictions = last_json(capsys)["predictions"]
    written = sorted(str(path.relative_to(out)) for path in out.rglob("*.png"))
    expected = [f"p{n}/scan{end}.png" for n in (1, 2) for end in ("", "_overlay")]
    assert written == sorted(expected)
    for row, prediction in zip(csv.DictReader(table.open()), predictions, strict=True):
        assert row["mask"] == prediction["labels"]
        shares = {name: float(row[name]) for name in list(row)[3:]}
        assert len(shares) == 11
        assert {name: share for name, share in shares.items() if share} == prediction["shares"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ([], "--out must be set"),
        (["--out=OUT", "--top=3"], "--top is for classification"),
        (["--out=OUT", "--tile=33"], "tile of 33 pixels must be a multiple of 2"),
        (["--out=OUT", "--overlap=3"], "set tile as well"),
        (["--out=PHOTO"], "is a file, and must be a folder"),
        (["--out=OUT", "PHOTO"], "photo.png of 'PHOTO' would overwrite 'PHOTO' or one of its"),
        (["--out=OUT", "OUT/photo.png"], "would overwrite 'OUT/photo.png'"),
    ],
)
def test_mistakes(run, photo, tmp_path, capsys, options, sentence):
    def filled(text):
        return text.replace("OUT", str(tmp_path / "out")).replace("PHOTO", str(photo))

    assert launch("predict", f"--workdir={run}", str(photo), *map(filled, options)) == 1
    error = capsys.readouterr().err
    assert filled(sentence) in error
    assert len(error.strip().splitlines()) == 1
