"""Folders of images, well formed and not."""

import os
import sys

import numpy as np
import pytest
from PIL import Image

from cnnlab.data import ArraySource, load
from cnnlab.data.describe import describe
from cnnlab.data.geometry.form import Wanted
from cnnlab.data.geometry.pixels import place_pixels
from cnnlab.data.geometry.placement import Geometry
from cnnlab.data.image import inspect_image, read_image, read_pixels
from cnnlab.data.sources.folder import FolderSource, load_splits
from cnnlab.errors import UserError


def stream_everything(monkeypatch):
    # By its module: in the package, the function `load` hides the module of that name.
    monkeypatch.setattr(sys.modules["cnnlab.data.cache"], "MAX_BYTES", 0)


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path)


def write_classes(folder, counts, shape=(6, 8, 3)):
    """Images filled with their number within `folder`, which no other image has."""
    number = 0
    for name, count in counts.items():
        for index in range(count):
            write(folder / name / f"{index:03}.png", np.full(shape, number))
            number += 1


def values(source):
    return sorted(int(image[0, 0, 0]) for image in source.images)


def refused(path, **options):
    with pytest.raises(UserError) as caught:
        load(f"folder:{path}", **options)
    text = str(caught.value)
    assert text.endswith(".") and "\n" not in text
    return text


@pytest.mark.parametrize("validation", ["val", "validation"])
def test_folders_of_splits(tmp_path, validation):
    write_classes(tmp_path / "train", {"cat": 3, "dog": 4})
    write_classes(tmp_path / validation, {"cat": 2, "dog": 1})
    write_classes(tmp_path / "test", {"dog": 2})
    dataset = load(f"folder:{tmp_path}")
    assert dataset.info.class_names == ("cat", "dog")
    assert dataset.info.image_shape == (6, 8, 3)
    labels = {split: source.labels.tolist() for split, source in dataset.splits.items()}
    assert labels == {"train": [0, 0, 0, 1, 1, 1, 1], "validation": [0, 0, 1], "test": [1, 1]}
    assert values(dataset.splits["train"]) == list(range(7))
    assert isinstance(dataset.splits["train"], ArraySource)


def test_classes_directly_in_the_path_are_split(tmp_path):
    write_classes(tmp_path, {"cat": 20, "dog": 30, "emu": 10})
    splits = load(f"folder:{tmp_path}").splits
    counts = {split: np.bincount(source.labels).tolist() for split, source in splits.items()}
    assert counts == {"train": [16, 22, 7], "test": [4, 6, 2], "validation": [0, 2, 1]}
    everything = [value for source in splits.values() for value in values(source)]
    assert sorted(everything) == list(range(60))
    again = load(f"folder:{tmp_path}").splits
    for split in splits:
        np.testing.assert_array_equal(splits[split].images, again[split].images)


def test_images_keep_their_splits_when_others_are_added(tmp_path):
    write_classes(tmp_path, {"cat": 40, "dog": 40})
    before = load(f"folder:{tmp_path}").splits
    names = {split: {image.tobytes() for image in s.images} for split, s in before.items()}
    for folder in ("cat", "dog"):
        for number in range(20):
            write(tmp_path / folder / f"a{number:03}.png", np.full((6, 8, 3), 250))
    after = load(f"folder:{tmp_path}").splits
    assert sum(map(len, after.values())) == 120
    for split, source in after.items():
        assert names[split] == {i.tobytes() for i in source.images if i[0, 0, 0] != 250}


def test_train_folder_alone_gives_a_test_split(tmp_path):
    write_classes(tmp_path / "train", {"cat": 10, "dog": 10})
    splits = load(f"folder:{tmp_path}", validation_fraction=0).splits
    assert {split: len(source) for split, source in splits.items()} == {"train": 14, "test": 6}


def test_large_folders_are_streamed_with_the_same_splits(tmp_path, monkeypatch):
    write_classes(tmp_path, {"cat": 20, "dog": 30})
    in_memory = load(f"folder:{tmp_path}").splits
    stream_everything(monkeypatch)
    streamed = load(f"folder:{tmp_path}").splits
    assert streamed.keys() == in_memory.keys()
    for split, source in streamed.items():
        assert isinstance(source, FolderSource)
        np.testing.assert_array_equal(source.labels, in_memory[split].labels)
        images = np.stack([source[index]["image"] for index in range(len(source))])
        np.testing.assert_array_equal(images, in_memory[split].images)


def test_gray_stays_gray(tmp_path):
    write_classes(tmp_path, {"a": 4, "b": 4}, shape=(5, 5))
    assert load(f"folder:{tmp_path}").info.image_shape == (5, 5, 1)


def test_one_color_image_makes_all_color(tmp_path):
    write_classes(tmp_path, {"a": 4, "b": 4}, shape=(5, 5))
    write(tmp_path / "a" / "color.png", np.zeros((5, 5, 3)))
    assert load(f"folder:{tmp_path}").info.image_shape == (5, 5, 3)


def test_sizes_that_differ(tmp_path):
    write_classes(tmp_path / "train", {"a": 2, "b": 2}, shape=(5, 5))
    write_classes(tmp_path / "test", {"a": 2, "b": 2}, shape=(6, 9))
    shape = load_splits(tmp_path, Wanted()).form.shape
    assert shape == (224, 224, 1)
    shape = load_splits(tmp_path, Wanted(image_size=16)).form.shape
    assert shape == (16, 16, 1)
    dataset = load(f"folder:{tmp_path}", image_size=16)
    assert dataset.splits["test"].images.shape == (4, 16, 16, 1)


def test_hidden_files_and_folders_are_not_read(tmp_path):
    write_classes(tmp_path, {"a": 4, "b": 4})
    (tmp_path / "a" / "._000.png").write_bytes(b"of macOS")
    (tmp_path / ".cache").mkdir()
    (tmp_path / "a" / "notes.txt").touch()
    assert sum(load(f"folder:{tmp_path}").info.num_examples.values()) == 8


def test_missing_path(tmp_path):
    path = tmp_path / "none"
    assert refused(path) == f"data.name=folder:{path}: there is no such folder."


def test_empty_folder(tmp_path):
    assert "has no folders of classes: put images into" in refused(tmp_path)


def test_images_without_classes(tmp_path):
    write(tmp_path / "train" / "a.png", np.zeros((5, 5)))
    text = refused(tmp_path)
    assert f"{tmp_path / 'train'} has no folders of classes" in text


def test_splits_without_train(tmp_path):
    write_classes(tmp_path / "test", {"a": 2})
    assert "no folder 'train'" in refused(tmp_path)


def test_empty_class(tmp_path):
    write_classes(tmp_path, {"a": 4, "b": 4})
    (tmp_path / "c").mkdir()
    text = refused(tmp_path)
    assert f"{tmp_path / 'c'} has no images" in text and ".png" in text


def test_empty_split(tmp_path):
    write_classes(tmp_path / "train", {"a": 4, "b": 4})
    (tmp_path / "test").mkdir()
    assert f"{tmp_path / 'test'} has no folders of classes" in refused(tmp_path)


def test_class_that_train_lacks(tmp_path):
    write_classes(tmp_path / "train", {"cat": 2, "dog": 2})
    write_classes(tmp_path / "test", {"cat": 2, "dgo": 2})
    text = refused(tmp_path)
    assert str(tmp_path / "test" / "dgo") in text and "cat, dog" in text


def test_single_image_cannot_be_split(tmp_path):
    write_classes(tmp_path, {"cat": 5, "dog": 1})
    text = refused(tmp_path)
    assert "Class 'dog'" in text and "single image" in text
    assert "the test split needs one too: add images, or give the test split as" in text


def test_second_image_goes_to_the_test_split_and_none_is_left_for_validation(tmp_path):
    write_classes(tmp_path, {"cat": 5, "dog": 15})
    for number in range(1, 14):  # the hash of the last one is below a fifth
        (tmp_path / "dog" / f"{number:03}.png").unlink()
    text = refused(tmp_path)
    assert "Class 'dog'" in text and "the validation split needs one too" in text
    assert "set data.validation_fraction=0" in text
    assert len(load(f"folder:{tmp_path}", validation_fraction=0).splits["train"]) == 5


def test_path_that_is_left_out():
    with pytest.raises(UserError, match="lacks its path"):
        load("folder:")


def test_corrupt_image_is_named(tmp_path):
    write_classes(tmp_path, {"a": 4, "b": 4})
    path = tmp_path / "b" / "broken.png"
    path.write_bytes(b"these are not the bytes of an image")
    assert refused(tmp_path) == f"'{path}' cannot be read as an image: it is corrupt, or no image."


def noisy_jpeg(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, np.random.default_rng(0).integers(0, 256, (64, 64, 3)))
    return path.read_bytes()


def test_truncated_jpeg_is_named(tmp_path):
    """Its header is in order, so that it is found only when it is decoded."""
    write_classes(tmp_path, {"a": 4, "b": 4})
    path = tmp_path / "a" / "cut.jpg"
    path.write_bytes(noisy_jpeg(path)[:1500])
    assert f"'{path}' cannot be read" in refused(tmp_path)


def test_truncated_jpeg_in_a_stream_is_named(tmp_path, monkeypatch):
    stream_everything(monkeypatch)
    write_classes(tmp_path, {"a": 4, "b": 4})
    path = tmp_path / "a" / "cut.jpg"
    path.write_bytes(noisy_jpeg(path)[:1500])
    assert f"'{path}' cannot be read" in refused(tmp_path)


def test_predict_names_what_it_cannot_read(tmp_path):
    with pytest.raises(UserError, match=r"There is no image '.*none\.png'"):
        read_pixels(tmp_path / "none.png")
    with pytest.raises(UserError, match="is a folder, and should be an image"):
        read_pixels(tmp_path)


RED, GREEN, WHITE = (255, 0, 0), (0, 255, 0), (255, 255, 255)


def read(path):
    """Reads an image in its own size, and checks what its header promised."""
    pixels = read_pixels(path)
    assert inspect_image(path) == (*pixels.shape, pixels.dtype)
    np.testing.assert_array_equal(read_image(path, pixels.shape, pixels.dtype), pixels)
    np.testing.assert_array_equal(read_pixels(path.read_bytes(), name="bytes"), pixels)
    return pixels


def test_transparency_is_laid_on_white(tmp_path):
    pixels = np.array([[(*RED, 255), (*RED, 0)]])
    write(tmp_path / "a.png", pixels)
    np.testing.assert_array_equal(read(tmp_path / "a.png"), [[RED, WHITE]])


def test_palette(tmp_path):
    image = Image.fromarray(np.array([[RED, GREEN]], np.uint8)).quantize(4)
    image.save(tmp_path / "a.png")
    assert Image.open(tmp_path / "a.png").mode == "P"
    np.testing.assert_array_equal(read(tmp_path / "a.png"), [[RED, GREEN]])


@pytest.mark.parametrize("extension", ["png", "tif"])
def test_16_bits_are_kept(tmp_path, extension):
    path = tmp_path / f"a.{extension}"
    Image.fromarray(np.array([[0, 257, 32768, 65535]], np.uint16)).save(path)
    np.testing.assert_array_equal(read(path)[..., 0], [[0, 257, 32768, 65535]])
    assert read(path).dtype == np.uint16


def test_black_and_white(tmp_path):
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read(tmp_path / "a.png")[..., 0], [[255, 0]])


def test_exif_orientation(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it rotated by 90 degrees clockwise
    path = tmp_path / "a.png"
    Image.fromarray(np.array([[RED, GREEN]], np.uint8)).save(path, exif=exif)
    np.testing.assert_array_equal(read(path), [[RED], [GREEN]])


def test_resizing_covers_and_cuts_the_center(tmp_path):
    pixels = np.zeros((4, 12, 3))
    pixels[:, 4:8] = GREEN
    write(tmp_path / "a.png", pixels)
    found = read_image(tmp_path / "a.png", (4, 4, 3))
    np.testing.assert_array_equal(found, np.broadcast_to(GREEN, (4, 4, 3)))


def test_a_large_jpeg_is_decoded_smaller(tmp_path):
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (30, 40, 3), np.uint8))
    coarse.resize((640, 480), Image.Resampling.BICUBIC).save(tmp_path / "a.jpg", quality=95)
    assert read_pixels(tmp_path / "a.jpg").shape == (480, 640, 3)
    pixels = read_pixels(tmp_path / "a.jpg")
    place = Geometry().place
    whole = place_pixels(pixels, place((480, 640), (100, 100)), 3).astype(float)
    found = read_image(tmp_path / "a.jpg", (100, 100, 3))
    assert 0 < np.abs(found - whole).mean() < 1
    # Not where the filter would have less than two pixels for one.
    whole = place_pixels(pixels, place((480, 640), (161, 161)), 3)
    np.testing.assert_array_equal(read_image(tmp_path / "a.jpg", (161, 161, 3)), whole)


def test_channels_are_converted(tmp_path):
    write(tmp_path / "gray.png", [[7, 9]])
    write(tmp_path / "red.png", [[RED]])
    gray = read_image(tmp_path / "gray.png", (1, 2, 3))
    np.testing.assert_array_equal(gray, [[(7, 7, 7), (9, 9, 9)]])
    np.testing.assert_array_equal(read_image(tmp_path / "red.png", (1, 1, 1)), [[[76]]])


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [("Train", "valid", "Test"), ("training", "dev", "testing"), ("TRAIN", "Val", "TESTING")],
)
def test_splits_under_the_names_people_use(tmp_path, train, validation, test):
    for split, count in ((train, 5), (validation, 3), (test, 2)):
        write_classes(tmp_path / split, {"a": count, "b": count})
    info = load(f"folder:{tmp_path}").info
    assert info.class_names == ("a", "b")
    assert info.num_examples == {"train": 10, "validation": 6, "test": 4}


def test_two_folders_for_one_split(tmp_path):
    for split in ("train", "val", "validation"):
        write_classes(tmp_path / split, {"a": 4, "b": 4})
    assert "has both 'val' and 'validation' for the validation split" in refused(tmp_path)


def test_a_class_beside_the_splits(tmp_path):
    write_classes(tmp_path / "train", {"a": 4, "b": 4})
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "notes.txt").touch()
    assert sum(load(f"folder:{tmp_path}").info.num_examples.values()) == 8
    write_classes(tmp_path, {"cat": 4})
    assert "has the folder 'cat' with images beside the splits train" in refused(tmp_path)


def test_what_is_left_out_is_counted(tmp_path):
    write_classes(tmp_path, {"a": 4, "b": 4})
    write_classes(tmp_path / "a" / ".ipynb_checkpoints", {"x": 5})
    write_classes(tmp_path / "b" / "@eaDir", {"1.png": 1})
    write_classes(tmp_path, {"__MACOSX": 3})
    write(tmp_path / "beside.png", np.zeros((5, 5)))
    (tmp_path / "a" / "Thumbs.db").touch()
    (tmp_path / "b" / "notes.txt").touch()
    os.mkfifo(tmp_path / "b" / "pipe.png")
    dataset = load(f"folder:{tmp_path}")
    assert sum(dataset.info.num_examples.values()) == 8
    assert dataset.info.left_out == {
        "hidden": 3, "of type .txt": 1, "not a regular file": 1, "beside the folders of classes": 1,
    }  # fmt: skip
    line = describe(dataset)[0]
    assert "; left out: 3 hidden, 1 of type .txt, " in line


def test_links_to_folders_are_followed_and_loops_are_not(tmp_path):
    write_classes(tmp_path / "data", {"a": 4, "b": 4})
    write_classes(tmp_path / "elsewhere", {"more": 5})
    (tmp_path / "data" / "a" / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data" / "b" / "loop").symlink_to(tmp_path / "data" / "b")
    info = load(f"folder:{tmp_path / 'data'}", validation_fraction=0).info
    assert sum(info.num_examples.values()) == 13


def test_names_in_either_unicode_form_are_one_class(tmp_path):
    write_classes(tmp_path / "train", {"caf\u00e9": 4, "tea": 4})
    write_classes(tmp_path / "test", {"cafe\u0301": 2, "tea": 2})
    info = load(f"folder:{tmp_path}").info
    assert info.class_names == ("caf\u00e9", "tea")
    assert info.class_counts["test"] == [2, 2]
