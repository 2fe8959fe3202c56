"""Runs on files of different sizes: crops, resumption, weights' expectations, predictions."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from cnnlab.config import Config, apply_overrides
from cnnlab.config.files import load_experiment
from cnnlab.data import DatasetInfo
from cnnlab.errors import UserError
from cnnlab.inference import load_run
from cnnlab.inference.label_maps import segment_image
from cnnlab.inference.prediction_files import file_probabilities, scaling_notes
from cnnlab.inference.run import evaluate_run
from cnnlab.pretrained import image_geometry
from cnnlab.train import fit
from cnnlab.train.experiment import build_experiment
from cnnlab.train.pretrained_images import ExpectedImages, expected_images, header_of
from cnnlab.train.run_data import crop_of, load_data
from tests.train.test_loop import Interrupted, Quiet, assert_same_run, terminate


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Oblong images of two classes, bright at the left or at the right end."""
    folder = tmp_path_factory.mktemp("photographs")
    for split, count in (("train", 20), ("validation", 4), ("test", 4)):
        for label in (0, 1):
            (folder / split / str(label)).mkdir(parents=True)
            for number in range(count):
                pixels = np.full((10, 20 + number % 3), 40, np.uint8)
                end = slice(0, 4) if label == 0 else slice(-4, None)
                pixels[:, end] = 200 + number
                Image.fromarray(pixels).save(folder / split / str(label) / f"{number}.png")
    return folder


@pytest.fixture
def photo_config(tiny_config, photographs):
    return apply_overrides(
        tiny_config,
        {
            "data.name": f"folder:{photographs}",
            "augment.random_resized_crop": True,
            "augment.flip": True,
            "batch_size": 8,
            "evaluation.every_epochs": 1.4,
            "log_every_steps": 4,
        },
    )


def test_resume_equals_the_unbroken_run(photo_config, tmp_path):
    """Crops of whole files are drawn again as they would have been."""
    fit(photo_config, tmp_path / "whole", callbacks=[Quiet()])
    with pytest.raises(Interrupted):
        fit(photo_config, tmp_path / "parts", callbacks=[Quiet(8, terminate)])
    fit(photo_config, tmp_path / "parts", callbacks=[Quiet()])
    assert_same_run(photo_config, tmp_path / "whole", tmp_path / "parts")
    run = load_run(tmp_path / "whole")
    assert run.info.crops_as_read
    assert (run.info.resize, run.info.image_shape) == ("shortest", (8, 8, 1))
    # A file is predicted as evaluation sees it, and the change of its size is said.
    path = f"{run.config.data.name.removeprefix('folder:')}/test/0/0.png"
    (notes,) = scaling_notes(run, [path])
    assert notes == f"{path}: resized from 20x10 to 16x8 pixels, as in training."
    source = load_data(run.config, run.data).splits["test"]
    (found,) = file_probabilities(run, [path])
    np.testing.assert_allclose(found, run.probabilities(source.images[:1])[0], atol=1e-6)


def test_hyper_parameters_of_crops_reach_the_reader(photo_config):
    """Sweeps and populations change them without another program."""
    dataset = load_data(photo_config)
    crop = crop_of(photo_config, dataset.info, {"augment.crop_scale": (0.5, 0.6)})
    assert (crop.frame, crop.scale, crop.ratio) == ((8, 8), (0.5, 0.6), (0.75, 4 / 3))
    in_memory = apply_overrides(photo_config, {"augment.random_resized_crop": False})
    assert crop_of(in_memory, load_data(in_memory).info) is None


def test_crops_are_drawn_once(photo_config):
    """What is cropped as it is read is not cropped again on the device."""
    config = apply_overrides(photo_config, {"augment.flip": False})
    info = load_data(config).info
    experiment = build_experiment(config, info)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 1), np.uint8)
    batch = {"image": pixels, "label": np.zeros(2, np.int32)}
    found = experiment.augment(jax.random.key(0), batch)["image"]
    expected = experiment.normalize()({"image": pixels})["image"]
    np.testing.assert_allclose(found, expected, atol=1e-6)


INFO = DatasetInfo(
    "mine",
    ("a", "b"),
    (32, 32, 3),
    {"train": 2, "test": 1},
    mean=(0.1, 0.2, 0.3),
    std=(0.4, 0.5, 0.6),
    resize="shortest",
    crop_fraction=0.9,
    interpolation="bilinear",
)
OF_INFO = ExpectedImages(INFO.mean, INFO.std, 32, "shortest", 0.9, "bilinear")


def test_what_weights_expect_of_images(tmp_path):
    """Of a library's name, of the header of an exported file, and of a run's record."""
    known = expected_images("torchvision/resnet50.IMAGENET1K_V1")
    assert known == ExpectedImages(
        (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 224, "shortest", 0.875, "bilinear"
    )
    save_file({"x": np.zeros(1)}, tmp_path / "x.safetensors", header_of(INFO))
    assert expected_images(str(tmp_path / "x.safetensors")) == OF_INFO
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "dataset.json").write_text(json.dumps(INFO.to_json()))
    assert expected_images(str(tmp_path / "run")) == OF_INFO
    for unknown in (None, "smp/someone/streets/nowhere", str(tmp_path / "none.pth")):
        assert expected_images(unknown).image_size is None


def test_weights_bring_what_they_expect(tmp_path, photographs):
    """Unless the config says otherwise."""
    save_file({"x": np.zeros(1)}, tmp_path / "x.safetensors", header_of(INFO))
    config = apply_overrides(
        Config(),
        {"data.name": f"folder:{photographs}", "model.pretrained": str(tmp_path / "x.safetensors")},
    )
    info = load_data(config).info
    assert info.image_shape == (32, 32, 1)
    assert (info.crop_fraction, info.interpolation) == (0.9, "bilinear")
    config = apply_overrides(
        config,
        {"data.image_size": 8, "data.crop_fraction": 1.0, "data.interpolation": "lanczos"},
    )
    info = load_data(config).info
    assert info.image_shape == (8, 8, 1)
    assert (info.crop_fraction, info.interpolation) == (1.0, "lanczos")


def test_the_recipe_of_imagenet_is_the_published_one():
    data = load_experiment("resnet50_imagenet").data
    published = image_geometry("torchvision/resnet50.IMAGENET1K_V1")
    assert (data.image_size, data.crop_fraction, data.interpolation) == published[:3]


@pytest.fixture(scope="module")
def lesions(tmp_path_factory):
    """Wide images of several sizes, with a bright square at the left end."""
    folder = tmp_path_factory.mktemp("lesions")
    rng = np.random.default_rng(0)
    for split, count in (("train", 16), ("validation", 4), ("test", 4)):
        for kind in ("images", "masks"):
            (folder / split / kind).mkdir(parents=True)
        for number in range(count):
            mask = np.zeros((32, 64 - 4 * (number % 2)), np.uint8)
            top, left = rng.integers(1, 20), rng.integers(1, 5)
            mask[top : top + 10, left : left + 10] = 1
            pixels = rng.integers(0, 100, mask.shape) + 150 * mask
            Image.fromarray(pixels.astype(np.uint8)).save(
                folder / split / "images" / f"{number}.png"
            )
            Image.fromarray(mask).save(folder / split / "masks" / f"{number}.png")
    return folder


def test_a_network_without_padding_is_not_scored_in_windows():
    info = dataclasses.replace(INFO, image_shape=(192, 192, 3), eval_size=(384, 384))
    config = apply_overrides(Config(), {"task": "segmentation", "model.name": "unet"})
    valid = apply_overrides(config, {"model.options.padding": "valid"})
    with pytest.raises(UserError, match=r"larger than patches of 192x192 and scored in windows"):
        build_experiment(valid, info)
    build_experiment(config, info)


@pytest.mark.slow
def test_patches_learn_what_whole_images_are_judged_on(lesions, tmp_path):
    """Scores are of all pixels; a large image is predicted at the scale of the patches."""
    config = apply_overrides(
        Config(),
        {
            "task": "segmentation",
            "data.name": f"folder:{lesions}",
            "data.image_size": 16,
            "data.resize": "none",
            "model.name": "unet_bn",
            "model.options.width": 4,
            "model.options.levels": 2,
            "optimizer.name": "adamw",
            "optimizer.learning_rate": 0.02,
            "batch_size": 16,
            "epochs": None,
            "steps": 80,
            "evaluation.every_epochs": 80.0,
            "num_devices": 1,
        },
    )
    result = fit(config, tmp_path, callbacks=[Quiet()])
    assert result["test"]["miou"] > 0.9
    run = load_run(tmp_path)
    numbers = evaluate_run(run, report=lambda text: None)
    assert numbers["num_examples"] == 4
    pixels = {name: row["pixels"] for name, row in numbers["per_class"].items()}
    assert list(pixels.values()) == [4 * 32 * 62 - 400, 400]
    large = np.tile(np.asarray(Image.open(lesions / "test" / "images" / "0.png")), (4, 4))
    truth = np.tile(np.asarray(Image.open(lesions / "test" / "masks" / "0.png")), (4, 4))
    found = segment_image(run, large[..., None])
    assert 2 * (found * truth).sum() / (found.sum() + truth.sum()) > 0.9
