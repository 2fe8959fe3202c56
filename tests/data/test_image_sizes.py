"""Files of different sizes: batches of training and of evaluation, and the line about them."""

import numpy as np
import pytest
from PIL import Image

from cnnlab.data import cache, eval_batches, load, train_batches
from cnnlab.data.describe import describe
from cnnlab.data.geometry.crops import TrainCrop, crop_rng
from cnnlab.data.geometry.form import Wanted
from cnnlab.data.geometry.image_source import ImageSource, read_for
from cnnlab.data.geometry.windows import Windows, windowed
from cnnlab.data.order import batch_indices
from cnnlab.data.source import ArraySource, DatasetRecord
from cnnlab.data.sources.tfds import TfdsSource
from cnnlab.errors import UserError
from tests.data.tfds_records import RecordList

SIZES = [(20, 30), (33, 18), (24, 24), (50, 21)]
CROP = TrainCrop((12, 12), (0.2, 0.9))


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    rng = np.random.default_rng(0)
    for split, count in (("train", 6), ("test", 3)):
        for label in ("cat", "dog"):
            (folder / split / label).mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 256, (*SIZES[number % 4], 3), np.uint8)
                Image.fromarray(pixels).save(folder / split / label / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def lesions(tmp_path_factory):
    """Wide images, each with a square of 5x6 pixels at its left end."""
    folder = tmp_path_factory.mktemp("lesions")
    rng = np.random.default_rng(0)
    for split, count in (("train", 6), ("test", 4)):
        for kind in ("images", "masks"):
            (folder / split / kind).mkdir(parents=True)
        for number in range(count):
            size = (32, 64 - 2 * (number % 2))
            mask = np.zeros(size, np.uint8)
            mask[4:9, 1:7] = 1
            pixels = (rng.integers(0, 100, size) + 150 * mask).astype(np.uint8)
            Image.fromarray(pixels).save(folder / split / "images" / f"{number}.png")
            Image.fromarray(mask).save(folder / split / "masks" / f"{number}.png")
    return folder


def batches(source, crop, start=0, **options):
    arguments = {"seed": 3, "batch_size": 4, "start_step": start, "stop_step": 5}
    return list(train_batches(source, crop=crop, **arguments | options))


def assert_same(ones, others):
    for one, other in zip(ones, others, strict=True):
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])


def cropped(folder, **options):
    return load(f"folder:{folder}", image_size=12, wanted=Wanted(random_crops=True), **options)


def test_crops_are_of_whole_files(photographs):
    """Each is what Pillow makes of the box that seed, step and example decide."""
    source = cropped(photographs).splits["train"]
    for step, batch in enumerate(batches(source, CROP)):
        numbers = batch_indices(3, step, batch_size=4, num_examples=len(source))
        for row, number in enumerate(numbers):
            with Image.open(source.paths[number]) as image:
                size = image.size[::-1]
                top, left, bottom, right = CROP.draw(
                    crop_rng(3, step, number), size, source.geometry
                ).box
                box = (left, top, right, bottom)
                expected = image.resize((12, 12), Image.Resampling.BICUBIC, box)
            np.testing.assert_array_equal(batch["image"][row], expected)
            assert batch["label"][row] == source.labels[number]


def test_crops_do_not_depend_on_where_images_are(photographs, monkeypatch):
    """In memory in their own sizes or read from files; from any step on; on several hosts."""
    held = cropped(photographs)
    assert held.info.crops_as_read
    assert held.splits["train"].is_held
    assert isinstance(held.splits["test"], ArraySource)
    assert isinstance(held.splits["validation"], ArraySource)
    expected = batches(held.splits["train"], CROP)
    assert_same(batches(held.splits["train"], CROP, start=2), expected[2:])
    halves = [
        batches(held.splits["train"], CROP, process_index=index, process_count=2)
        for index in range(2)
    ]
    for whole, *parts in zip(expected, *halves, strict=True):
        joined = np.concatenate([part["image"] for part in parts])
        np.testing.assert_array_equal(joined, whole["image"])
    monkeypatch.setattr(cache, "MAX_BYTES", 0)
    streamed = cropped(photographs)
    assert not streamed.splits["train"].is_held
    assert_same(batches(streamed.splits["train"], CROP), expected)
    assert_same(eval_batches(streamed.splits["test"], batch_size=4),
                eval_batches(held.splits["test"], batch_size=4))  # fmt: skip


def test_without_crops_images_are_decoded_once(photographs):
    dataset = load(f"folder:{photographs}", image_size=12)
    assert not dataset.info.crops_as_read
    assert isinstance(dataset.splits["train"], ArraySource)


def test_a_run_keeps_its_geometry(photographs):
    wanted = Wanted(resize="pad", interpolation="bilinear", random_crops=True)
    dataset = load(f"folder:{photographs}", image_size=12, wanted=wanted)
    record = DatasetRecord.from_json(DatasetRecord(dataset.info, dataset.paths).to_json())
    assert record.info == dataset.info
    again = load(f"folder:{photographs}", image_size=12, record=record)  # asks for nothing else
    assert again.info == dataset.info
    np.testing.assert_array_equal(again.splits["test"].images, dataset.splits["test"].images)
    assert_same(batches(again.splits["train"], CROP), batches(dataset.splits["train"], CROP))


def test_relabelled_images_are_cropped_alike(photographs):
    source = cropped(photographs).splits["train"]
    table = np.array([1, 0], np.int32)
    other = source.relabelled(lambda labels, batched=False: table[labels])
    for one, two in zip(batches(source, CROP), batches(other, CROP), strict=True):
        np.testing.assert_array_equal(one["image"], two["image"])
        np.testing.assert_array_equal(1 - one["label"], two["label"])


def test_all_ways_to_an_image_give_the_same_pixels(photographs):
    """A folder, records of TFDS, and a single file to predict."""
    dataset = cropped(photographs)
    files = dataset.splits["train"]
    records = [
        {"image": path.read_bytes(), "label": label}
        for path, label in zip(files.paths, files.labels, strict=True)
    ]
    tfds = TfdsSource(
        RecordList(records), "image", "label", files.shape, 2, geometry=files.geometry
    )
    assert_same(batches(files, CROP), batches(tfds, CROP))
    numbers = np.arange(len(files))
    for ours, theirs in zip(files.read_many(numbers), tfds.read_many(numbers), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for number in (0, 5):
        found = read_for(dataset.info, files.paths[number])
        np.testing.assert_array_equal(found, files[number]["image"])
    few = tfds.take(np.array([4, 2]))
    np.testing.assert_array_equal(few[1]["image"], files[2]["image"])


def segmentation(folder, **options):
    wanted = Wanted(**{name: options.pop(name) for name in ("resize",) if name in options})
    return load(f"folder:{folder}", task="segmentation", wanted=wanted, **options)


def test_label_maps_of_several_sizes_are_padded(lesions):
    dataset = segmentation(lesions, validation_fraction=0)
    assert dataset.info.image_shape == dataset.info.eval_shape == (32, 64, 1)
    for split, count in (("train", 6), ("test", 4)):
        labels = dataset.splits[split].labels
        assert (labels == 1).sum() == 30 * count
        assert (labels == 255).sum() == 2 * 32 * count / 2
    assert dataset.info.class_counts["test"][1] == 120
    assert "images of 32x64x1 (of 32x62 to 32x64, not scaled, mirrored" in describe(dataset)[0]


def test_patches_for_training_and_whole_images_for_evaluation(lesions):
    dataset = segmentation(lesions, image_size=16, resize="none", validation_fraction=0)
    info = dataset.info
    assert info.image_shape == (16, 16, 1)
    assert info.eval_shape == (32, 32, 1)
    pixels = {split: 32 * 63 * info.num_examples[split] for split in ("train", "test")}
    assert info.class_counts == {
        "train": [pixels["train"] - 180, 180],
        "test": [pixels["test"] - 120, 120],
    }
    assert "patches for training and all of each image for evaluation" in describe(dataset)[0]
    seen = []
    for batch in batches(dataset.splits["train"], TrainCrop((16, 16))):
        assert batch["image"].shape == (4, 16, 16, 1)
        # Images and masks are cut alike: lesions are brighter than all else.
        np.testing.assert_array_equal(batch["image"][..., 0] >= 150, batch["label"] == 1)
        seen.append((batch["label"] == 1).sum())
    assert sum(seen) > 0
    evaluated = eval_batches(dataset.splits["test"], batch_size=3)
    labels = np.concatenate([batch["label"] for batch in evaluated])
    assert (labels == 1).sum() == 120
    assert (labels != 255).sum() == 4 * 32 * 63


@pytest.mark.parametrize("memory", ["held", "streamed"])
def test_windows_show_every_pixel_once(lesions, memory, monkeypatch):
    if memory == "streamed":
        monkeypatch.setattr(cache, "MAX_BYTES", 0)
    source = segmentation(lesions, image_size=12, resize="none").splits["test"]
    assert isinstance(source, ImageSource)
    windows = windowed(source)
    assert isinstance(windows, Windows)
    assert len(source) == 4
    for example in range(4):
        pixels, labels = source.native(example)
        count = np.zeros(labels.shape, int)
        for number in np.flatnonzero(windows.owners == example):
            window = windows[int(number)]
            own = window["label"] != 255
            # Where in the image it is: all of its pixels are random.
            views = np.lib.stride_tricks.sliding_window_view(pixels[..., 0], (24, 24))
            ((top, left),) = np.argwhere((views == window["image"][..., 0]).all(axis=(2, 3)))
            inside = np.s_[top : top + 24, left : left + 24]
            np.testing.assert_array_equal(labels[inside][own], window["label"][own])
            count[inside] += own
        assert (count == 1).all()


def test_segmentation_is_not_cut():
    from cnnlab.config import Config, apply_overrides, validate

    for field, value, sentence in (
        ("resize", "shortest", "set data.resize to pad, squash or none"),
        ("crop_fraction", 0.9, "is judged on whole ones"),
    ):
        config = apply_overrides(Config(), {"task": "segmentation", f"data.{field}": value})
        with pytest.raises(UserError, match=sentence):
            validate(config)
    with pytest.raises(UserError, match=r"data.crop_fraction=1.5 must be above 0 and at most 1"):
        validate(apply_overrides(Config(), {"data.crop_fraction": 1.5}))


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"crop_fraction": 0.75}, "scaled to cover 16x16 and cut at the center"),
        ({"resize": "squash"}, "scaled to 12x12"),
        ({"resize": "pad"}, "scaled to fit into 12x12 and mirrored around it"),
        ({"random_crops": True}, "cut at the center, crops for training from whole images"),
    ],
)
def test_the_line_says_how_images_come_to_their_size(photographs, wanted, words):
    line = describe(load(f"folder:{photographs}", image_size=12, wanted=Wanted(**wanted)))[0]
    assert "images of 12x12x3 (of 20x18 to 50x30, scaled" in line
    assert f"{words}), uint8" in line
