"""`folder:PATH` with a table of labels: both forms, splits, and tables that are wrong."""

import numpy as np
import pytest
from PIL import Image

from cnnlab.data import load
from cnnlab.errors import UserError


def folder_of(tmp_path, table, names="abcd"):
    for number, name in enumerate(names):
        Image.new("L", (6, 5), 20 * number).save(tmp_path / f"{name}.png")
    (tmp_path / "labels.csv").write_text(table)
    return f"folder:{tmp_path}"


def read(name, **options):
    return load(name, task="multilabel", **options)


def labels_of(dataset):
    """Labels by the gray value of the image, over all splits."""
    return {
        (split, int(source[i]["image"][0, 0, 0]) // 20): source[i]["label"].tolist()
        for split, source in dataset.splits.items()
        for i in range(len(source))
    }


WIDE = "path,split,cat,dog\na.png,train,1,0\nb.png,val,0,1\nc.png,test,1,1\nd.png,train,0,0\n"
NAMED = "path,split,labels\na.png,train,cat\nb.png,val,dog\nc.png,test,dog; cat\nd.png,train,\n"


@pytest.mark.parametrize("table", [WIDE, NAMED, "\ufeff" + WIDE.replace(",", " ,")])
def test_both_forms_give_the_same_labels_and_splits(tmp_path, table):
    dataset = read(folder_of(tmp_path, table))
    assert dataset.info.class_names == ("cat", "dog")
    assert dataset.info.image_shape == (5, 6, 1)
    assert labels_of(dataset) == {
        ("train", 0): [1, 0],
        ("validation", 1): [0, 1],
        ("test", 2): [1, 1],
        ("train", 3): [0, 0],
    }
    assert dataset.info.class_counts["train"] == [1, 0]


def test_splits_are_held_out_where_the_table_has_none(tmp_path):
    names = [chr(97 + n) for n in range(20)]
    lines = [f"{name}.png,{n % 2},1" for n, name in enumerate(names)]
    dataset = read(
        folder_of(tmp_path, "\n".join(["path,odd,all", *lines]), names[:13] + names[13:])
    )
    assert sum(dataset.info.num_examples.values()) == 20
    assert dataset.info.num_examples["test"] >= 1
    for label in labels_of(dataset).values():
        assert label[1] == 1


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ("image,cat\na.png,1\n", "needs a column 'path'"),
        ("path,cat\n", "has no lines"),
        ("path\na.png\n", "has no classes"),
        ("path,cat\na.png,2\n", "line 2: 'cat' must be 0 or 1, got '2'"),
        ("path,cat\na.png\n", "line 2: expected 2 values"),
        ("path,cat\na.png,1,1\n", "line 2: expected 2 values"),
        ("path,cat\nz.png,1\n", "line 2: there is no file"),
        ("path,cat\na.png,1\na.png,0\n", "names 'a.png' twice"),
        ("path,cat,cat\na.png,1,1\n", "names a column twice"),
        ("path,split,cat\na.png,best,1\n", "line 2: the split 'best' must be one of"),
        ("path,split,cat\na.png,test,1\n", "no image of the split 'train'"),
    ],
)
def test_a_wrong_table_is_one_sentence(tmp_path, table, sentence):
    with pytest.raises(UserError, match=sentence):
        read(folder_of(tmp_path, table))


@pytest.mark.parametrize("as_folder", [True, False])
def test_single_labels_of_a_list(tmp_path, as_folder):
    """As `labels.csv` of the folder, or by its own path; classes that are numbers are sorted."""
    table = "path,split,label\na.png,train,10\nb.png,Val,9\nc.png,test,10\nd.png,train,9\n"
    name = folder_of(tmp_path, table, "abcde")
    dataset = load(name if as_folder else f"{name}/labels.csv")
    assert dataset.info.class_names == ("9", "10")
    expected = {("train", 0): 1, ("validation", 1): 0, ("test", 2): 1, ("train", 3): 0}
    assert labels_of(dataset) == expected
    assert dataset.paths == {
        "train": ["a.png", "d.png"],
        "validation": ["b.png"],
        "test": ["c.png"],
    }
    assert dataset.info.left_out == ({"not in labels.csv": 1} if as_folder else {})


def test_a_list_holds_out_the_files_that_folders_would(tmp_path):
    names = [f"{kind}/{n}.png" for kind in ("cat", "dog") for n in range(20)]
    for number, name in enumerate(names):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("L", (6, 5), number).save(tmp_path / name)
    by_folder = load(f"folder:{tmp_path}").paths
    lines = ["path,label", *(f"{name},{name[:3]}" for name in names)]
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    assert load(f"folder:{tmp_path}").paths == by_folder


def test_a_list_names_files_and_labels_in_either_unicode_form(tmp_path):
    for name in "ab":
        Image.new("L", (6, 5)).save(tmp_path / f"{name}e\u0301.png")
    table = "path,label,split\na\u00e9.png,caf\u00e9,train\nbe\u0301.png,cafe\u0301,test\n"
    (tmp_path / "labels.csv").write_text(table)
    dataset = load(f"folder:{tmp_path}", validation_fraction=0)
    assert dataset.info.class_names == ("caf\u00e9",)
    assert dataset.paths == {"train": ["a\u00e9.png"], "test": ["b\u00e9.png"]}


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ("path,cat\na.png,1\n", "needs a column 'label' for classification"),
        ("path,label\na.png,\n", "line 2: the label is missing"),
        ("path,label,split\na.png,x,train\nb.png,y,test\n", "line 3: 'y' is a class that the"),
        ("path,label\n,x\n", "line 2: there is no file"),
    ],
)
def test_a_wrong_list_is_one_sentence(tmp_path, table, sentence):
    with pytest.raises(UserError, match=sentence):
        load(folder_of(tmp_path, table))


def test_a_folder_without_a_table_says_how_to_write_one(tmp_path):
    with pytest.raises(UserError, match=r"labels\.csv, which is not there: write"):
        read(f"folder:{tmp_path}")


def test_pairs_of_digits():
    dataset = read("digit_pairs")
    train = dataset.splits["train"]
    assert train.images.shape[1:] == (28, 28, 1)
    counts = train.labels.sum(1)
    assert set(counts.tolist()) == {1, 2}
    assert counts.mean() > 1.8  # a tenth are twice the same digit
    quarters = train.images.reshape(-1, 2, 14, 2, 14).max((2, 4)) > 0
    np.testing.assert_array_equal(quarters[:, 0, 0], quarters[:, 1, 1])
    np.testing.assert_array_equal(quarters[:, 0, 1], ~quarters[:, 0, 0])
    with pytest.raises(UserError, match="task=multilabel"):
        load("digit_pairs")
