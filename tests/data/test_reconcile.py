"""Today's data are brought to what a run recorded of them, or refused with the difference."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from cnnlab.data import ArraySource, DatasetRecord, Source, cache, from_arrays, load
from cnnlab.data.assembly import OwnSplits
from cnnlab.data.reconcile import match_record, relabel, to_run_labels
from cnnlab.errors import UserError
from tests.data.test_arrays import IMAGES, LABELS


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path)


def recorded(dataset):
    return DatasetRecord.from_json(DatasetRecord(dataset.info, dataset.paths).to_json())


def assert_same_data(left, right):
    assert left.splits.keys() == right.splits.keys()
    for split, source in left.splits.items():
        other = right.splits[split]
        assert len(source) == len(other)
        for index in range(len(source)):
            np.testing.assert_array_equal(source[index]["image"], other[index]["image"])
            np.testing.assert_array_equal(source[index]["label"], other[index]["label"])


@pytest.fixture
def folder(tmp_path):
    """Gray images of two classes, each filled with another number."""
    for label, name in enumerate("bc"):
        for index in range(20):
            write(tmp_path / name / f"{index:03}.png", np.full((6, 8), 100 * label + index))
    return tmp_path


@pytest.fixture(params=["memory", "stream"], autouse=True)
def memory(request, monkeypatch):
    if request.param == "stream":
        monkeypatch.setattr(cache, "MAX_BYTES", 0)


def refused(folder, record, **options):
    with pytest.raises(UserError) as caught:
        load(f"folder:{folder}", record=record, **options)
    text = str(caught.value)
    assert text.endswith(".") and "\n" not in text
    return text


def test_the_same_files(folder):
    before = load(f"folder:{folder}")
    after = load(f"folder:{folder}", record=recorded(before))
    assert_same_data(before, after)
    assert after.info == before.info and after.notes == ()
    assert set(before.info.digests) == {"train", "test", "validation"}
    assert before.info.split_rules["test"] == "0.2 of the training split, by a hash of each path"


def test_added_images_are_left_out_and_counted(folder):
    before = load(f"folder:{folder}")
    write(folder / "b" / "x.png", np.zeros((6, 8)))
    write(folder / "c" / "a.png", np.zeros((9, 30, 3)))
    after = load(f"folder:{folder}", record=recorded(before))
    assert_same_data(before, after)
    assert after.info == before.info
    (note,) = after.notes
    assert "2 images added since the run was started are left out, e.g. 'b/x.png'" in note
    assert "the run's own 40 are used" in note


def test_files_of_few_training_examples(folder):
    options = {"train_examples_per_class": 3}
    before = load(f"folder:{folder}", **options)
    write(folder / "b" / "x.png", np.zeros((6, 8)))
    after = load(f"folder:{folder}", record=recorded(before), **options)
    assert_same_data(before, after)
    assert after.notes == ()


def test_images_keep_their_shape_when_a_file_changes_its_size(folder):
    before = load(f"folder:{folder}")
    path = before.paths["test"][0]
    with Image.open(folder / path) as image:
        larger = image.resize((16, 12))
    larger.save(folder / path)
    assert_same_data(before, load(f"folder:{folder}", record=recorded(before)))


def test_a_renamed_class(folder):
    record = recorded(load(f"folder:{folder}"))
    (folder / "b").rename(folder / "z")
    text = refused(folder, record)
    assert "has other classes than the run was started with: 'b' is missing and 'z' is new." in text


def test_a_new_class(folder):
    record = recorded(load(f"folder:{folder}"))
    for index in range(5):
        write(folder / "a" / f"{index}.png", np.zeros((6, 8)))
    assert "was started with: 'a' is new." in refused(folder, record)


def test_a_class_that_is_gone(folder):
    for index in range(5):
        write(folder / "a" / f"{index}.png", np.zeros((6, 8)))
    record = recorded(load(f"folder:{folder}"))
    for index in range(5):
        (folder / "a" / f"{index}.png").unlink()
    (folder / "a").rmdir()
    assert "was started with: 'a' is missing." in refused(folder, record)


def test_an_image_that_is_gone(folder):
    record = recorded(load(f"folder:{folder}"))
    path = record.paths["test"][0]
    (folder / path).unlink()
    count = len(record.paths["test"])
    text = f"1 image of the run's test split (of {count}) is no longer there, e.g. '{path}'"
    assert text in refused(folder, record)


def test_an_image_moved_to_another_split(folder):
    for name in "bc":
        (folder / "train").mkdir(exist_ok=True)
        (folder / name).rename(folder / "train" / name)
        write(folder / "test" / name / "own.png", np.zeros((6, 8)))
    record = recorded(load(f"folder:{folder}"))
    (folder / record.paths["train"][0]).rename(folder / "test" / "b" / "moved.png")
    assert f"no longer there, e.g. '{record.paths['train'][0]}'" in refused(folder, record)


def test_a_test_folder_added_later_does_not_replace_the_held_out_images(folder):
    (folder / "train").mkdir()
    for name in "bc":
        (folder / name).rename(folder / "train" / name)
    before = load(f"folder:{folder}")
    write(folder / "test" / "b" / "new.png", np.zeros((6, 8)))
    after = load(f"folder:{folder}", record=recorded(before))
    assert_same_data(before, after)
    assert "1 image added" in after.notes[0]


def test_masks_whose_classes_are_listed_in_another_order(tmp_path):
    for index in range(20):
        mask = np.zeros((4, 4))
        mask[:2], mask[0, 0] = 1, 255
        write(tmp_path / "images" / f"{index}.png", np.full((4, 4), index))
        write(tmp_path / "masks" / f"{index}.png", mask)
    (tmp_path / "classes.txt").write_text("sky\nroad\n")
    options = {"task": "segmentation"}
    before = load(f"folder:{tmp_path}", **options)
    labels = {split: [s[i]["label"] for i in range(len(s))] for split, s in before.splits.items()}
    (tmp_path / "classes.txt").write_text("road\nsky\n")
    for path in (tmp_path / "masks").iterdir():
        values = np.array(Image.open(path))
        write(path, np.where(values == 255, 255, 1 - values))
    after = load(f"folder:{tmp_path}", record=recorded(before), **options)
    assert after.info.class_names == ("sky", "road")
    for split, source in after.splits.items():
        images, found = source.read_many(np.arange(len(source)))
        np.testing.assert_array_equal(found, labels[split])
        np.testing.assert_array_equal(source[0]["label"], labels[split][0])
        assert len(images) == len(before.splits[split])


def test_a_copy_in_the_other_unicode_form_has_the_same_examples(tmp_path):
    """As a file system that decomposes accented letters makes of it: classes and files."""
    one, other = tmp_path / "composed", tmp_path / "decomposed"
    for place, accent, dots in ((one, "\u00e9", "\u00fc"), (other, "e\u0301", "u\u0308")):
        for label, name in enumerate("bc"):
            for index in range(20):
                pixels = np.full((6, 8), 100 * label + index)
                write(place / f"{name}{dots}" / f"{accent}{index:03}.png", pixels)
    before = load(f"folder:{one}")
    assert before.paths == load(f"folder:{other}").paths
    assert_same_data(before, load(f"folder:{other}", record=recorded(before)))


def test_names_that_are_not_utf8_are_recorded(tmp_path):
    for name in (b"b", b"c\xff"):
        for index in range(10):
            path = tmp_path / name.decode("utf-8", "surrogateescape") / f"{index}.png"
            write(path, np.zeros((4, 4)))
    before = load(f"folder:{tmp_path}")
    assert_same_data(before, load(f"folder:{tmp_path}", record=recorded(before)))


def test_arrays_with_classes_in_another_order():
    before = from_arrays(IMAGES, LABELS, ["a", "b", "c"])
    today = from_arrays(IMAGES, (LABELS + 1) % 3, ["c", "a", "b"])
    after = match_record(today, recorded(before))
    assert_same_data(before, after)
    assert after.info == before.info


def test_multi_hot_labels_with_classes_in_another_order():
    labels = np.random.default_rng(1).integers(0, 2, (len(IMAGES), 3))
    before = from_arrays(IMAGES, labels, ["a", "b", "c"])
    today = from_arrays(IMAGES, labels[:, [2, 0, 1]], ["c", "a", "b"])
    assert_same_data(before, match_record(today, recorded(before)))


@pytest.mark.parametrize(
    ("today", "sentence"),
    [
        (lambda: from_arrays(IMAGES, LABELS, ["a", "b", "d"]), "'c' is missing and 'd' is new"),
        (lambda: from_arrays(IMAGES[:, :3], LABELS, ["a", "b", "c"]),
         "images have the shape 3x5x1, and the run was started with 4x5x1"),
        (lambda: from_arrays(IMAGES[:50], LABELS[:50], ["a", "b", "c"]),
         "the test split has 8 examples, and the run was started with 10"),
        (lambda: from_arrays(IMAGES, LABELS, ["a", "b", "c"], test=(IMAGES[:10], LABELS[:10])),
         "the test split has 10 examples as when the run was started, but they are others"),
    ],
)  # fmt: skip
def test_arrays_that_do_not_fit(today, sentence):
    record = recorded(from_arrays(IMAGES, LABELS, ["a", "b", "c"]))
    with pytest.raises(UserError, match=sentence):
        match_record(today(), record)


def test_digits_have_a_record_too():
    before = load("digits")
    assert_same_data(before, load("digits", record=recorded(before)))


class Streamed(Source):
    def __init__(self, source):
        self.source = source

    def __len__(self):
        return len(self.source)

    def __getitem__(self, index):
        return self.source[index]


def test_relabelling_a_stream_equals_that_of_arrays():
    table = np.array([2, 0, 1], np.int32)
    source = from_arrays(IMAGES, LABELS).splits["train"]
    arrays, stream = relabel(source, table), relabel(Streamed(source), table)
    indices = np.array([4, 0, 7])
    for left, right in zip(arrays.read_many(indices), stream.read_many(indices), strict=True):
        np.testing.assert_array_equal(left, right)
    assert [stream[i]["label"] for i in indices] == arrays.labels[indices].tolist()


def test_labels_of_another_data_set_become_those_of_the_run():
    """It has two of three classes, in another order."""
    images = np.zeros((2, 1, 2, 1), np.uint8)
    record = DatasetRecord(dataclasses.replace(load("digits").info, class_names=tuple("abc")))
    for labels, expected in [
        (np.array([0, 1], np.int32), [2, 0]),
        (np.array([[1, 0], [1, 1]], np.int32), [[0, 0, 1], [1, 0, 1]]),
        (np.array([[[0, 1]], [[255, 0]]], np.uint8), [[[2, 0]], [[255, 2]]]),
    ]:
        source = ArraySource(images, labels)
        own = OwnSplits("x", {"train": source}, ("c", "a"), (1, 2, 1))
        assert to_run_labels(source, own, record).labels.tolist() == expected
        streamed = to_run_labels(Streamed(source), own, record)
        assert [np.asarray(streamed[i]["label"]).tolist() for i in range(2)] == expected
