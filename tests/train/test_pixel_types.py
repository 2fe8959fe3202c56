"""Runs on images of more than 8 bits or three channels: trained, evaluated, predicted."""

import json

import numpy as np
import pytest
import tifffile
from PIL import Image
from sklearn.datasets import load_digits

from cnnlab import train
from cnnlab.cli.main import main
from cnnlab.config import (
    Config,
    DataConfig,
    ModelConfig,
    OptimizerConfig,
    apply_overrides,
    validate,
)
from cnnlab.data.augment import AugmentConfig, make_augment, make_normalize
from cnnlab.errors import UserError
from cnnlab.inference.export import export_stablehlo
from cnnlab.inference.run import evaluate_run, load_run
from cnnlab.train.runtime.workdir import Workdir
from tests.train.test_loop import Quiet

DIGITS = load_digits()
# The same 17 levels in each type; None is the PNG that everything else is compared with.
FORMS = {
    "uint8": lambda x: (15 * x).astype(np.uint8),
    "uint16": lambda x: (55 * x).astype(np.uint16),  # a camera of 12 bits reaches 880
    "int16": lambda x: (250 * x - 1000).astype(np.int16),  # a CT
    "float32": lambda x: (x / 16).astype(np.float32),
}


def write_digits(folder, form, channels=1):
    for name, digit in (("three", 3), ("seven", 7)):
        (folder / name).mkdir(parents=True)
        for index, image in enumerate(DIGITS.images[DIGITS.target == digit][:60]):
            pixels = form(image)
            path = folder / name / f"{index:03}"
            if pixels.dtype == np.uint8 and channels == 1:
                Image.fromarray(pixels).save(f"{path}.tif")
            else:
                pixels = np.stack([pixels] * channels, axis=-1) if channels > 1 else pixels
                tifffile.imwrite(f"{path}.tif", pixels, photometric="minisblack",
                                 planarconfig="contig" if channels > 1 else None)  # fmt: skip


@pytest.fixture
def config(tiny_config, tmp_path):
    return apply_overrides(
        tiny_config,
        {"data.name": f"folder:{tmp_path}/data", "data.image_size": None, "batch_size": 16},
    )


def trained(config, tmp_path, form, channels=1):
    write_digits(tmp_path / "data", FORMS[form], channels)
    train.fit(config, tmp_path / "run", callbacks=[Quiet()])
    return load_run(tmp_path / "run")


@pytest.fixture(scope="module")
def scores(tmp_path_factory):
    """Test loss and accuracy of the run on 8-bit files."""
    folder = tmp_path_factory.mktemp("eight")
    write_digits(folder / "data", FORMS["uint8"])
    config = Config(
        batch_size=16, epochs=None, steps=20, log_every_steps=5, num_devices=1,
        data=DataConfig(name=f"folder:{folder}/data"),
        model=ModelConfig(name="mlp", options={"hidden": (16,), "dropout_rate": 0.1}),
        optimizer=OptimizerConfig(learning_rate=0.1, options={"momentum": 0.9}),
    )  # fmt: skip
    train.fit(config, folder / "run", callbacks=[Quiet()])
    return evaluate_run(load_run(folder / "run"))


@pytest.mark.parametrize(
    "form", ["uint16", "int16", pytest.param("float32", marks=pytest.mark.slow)]
)
def test_a_run_does_not_depend_on_the_type_of_its_files(config, tmp_path, scores, form):
    run = trained(config, tmp_path, form)
    held = "uint16" if form == "uint16" else "float32"
    assert run.info.dtype == held
    assert run.info.observed["levels"] == 17
    found = evaluate_run(run)
    assert found["loss"] == pytest.approx(scores["loss"], rel=1e-3)
    assert found["accuracy"] == scores["accuracy"] > 0.9
    if form != "uint16":
        return
    images = np.stack([tifffile.imread(p)[..., None].astype(held)
                       for p in sorted((tmp_path / "data" / "seven").iterdir())[:4]])  # fmt: skip
    expected = run.probabilities(images)
    program = export_stablehlo(run)
    np.testing.assert_allclose(program.call(images), expected, atol=1e-5)


def test_commands_on_a_run_of_five_channels(config, tmp_path, capsys):
    run = trained(config, tmp_path, "uint16", channels=5)
    assert run.info.image_shape == (8, 8, 5)
    path = tmp_path / "data" / "seven" / "003.tif"
    flags = [f"--workdir={tmp_path}/run"]
    assert main(["launch.py", "predict", *flags, str(path), "--json"]) == 0
    prediction = json.loads(capsys.readouterr().out.splitlines()[-1])["predictions"][0]
    assert prediction["top"][0]["class"] == "seven"
    assert main(["launch.py", "features", *flags, str(path), f"--out={tmp_path}/x.npz"]) == 0
    assert main(["launch.py", "analyze", "occlusion", *flags, f"--out={tmp_path}/x.png"]) == 0
    capsys.readouterr()
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "gray.png")
    assert main(["launch.py", "predict", *flags, f"{tmp_path}/gray.png"]) == 1
    assert "has uint8 pixels, and the data set uint16" in capsys.readouterr().err


def test_a_window_of_values(config, tmp_path):
    config = apply_overrides(config, {"data.value_range": (0.0, 1500.0)})
    run = trained(config, tmp_path, "int16")
    info = Workdir(tmp_path / "run").dataset_info()
    assert info.value_range == (0.0, 1500.0) and info.clip
    train = run.data.paths["train"]
    pixels = np.stack([tifffile.imread(tmp_path / "data" / path) for path in train])
    scaled = (pixels / 1500).clip(0, 1)
    assert info.mean == pytest.approx((scaled.mean(),)) and info.std == pytest.approx(
        (scaled.std(),)
    )
    images = np.float32([[[[-1000.0]], [[0.0]], [[750.0]], [[9000.0]]]])
    normalised = run.experiment.normalize()({"image": images})["image"].ravel()
    expected = (np.array([0, 0, 0.5, 1]) - info.mean[0]) / info.std[0]
    np.testing.assert_allclose(normalised, expected, rtol=1e-5)


def test_each_image_by_its_own_mean(config, tmp_path, rng):
    config = apply_overrides(config, {"data.normalize": "per_image"})
    run = trained(config, tmp_path, "uint16")
    images = np.random.default_rng(0).integers(0, 900, (3, 8, 8, 1), np.uint16)
    images[2] = 7
    batch = {"image": images, "label": np.zeros(3, np.int32)}
    found = np.asarray(run.experiment.normalize()(batch)["image"])
    np.testing.assert_allclose(found[:2].mean((1, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(found[:2].std((1, 2, 3)), 1, atol=1e-4)
    np.testing.assert_allclose(found[2], 0, atol=1e-3)
    augment = make_augment(AugmentConfig(), num_classes=2, mean=None, std=None,
                           value_range=run.info.value_range)  # fmt: skip
    np.testing.assert_allclose(augment(rng, batch)["image"], found, atol=1e-5)


def test_pixels_of_8_bits_are_mapped_as_before():
    images = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    plain = make_normalize((0.5,), (0.25,))({"image": images})["image"]
    explicit = make_normalize((0.5,), (0.25,), value_range=(0.0, 255.0))({"image": images})["image"]
    np.testing.assert_array_equal(plain, explicit)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"data.value_range": (3.0, 1.0)}, r"data.value_range=\(3.0, 1.0\) must be two numbers"),
        ({"data.value_range": (3.0,)}, "data.value_range takes 2 values"),
        ({"data.normalize": "per_image", "data.mean": (0.5,), "data.std": (0.5,)},
         "cannot be combined with data.normalize=per_image"),
    ],
)  # fmt: skip
def test_ranges_that_cannot_be(config, fields, sentence):
    with pytest.raises(UserError, match=sentence):
        validate(apply_overrides(config, fields))
