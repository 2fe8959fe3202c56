"""Labels that no class has."""

import io

import numpy as np
import pytest
from PIL import Image

from cnnlab.data import ArraySource, load
from cnnlab.data.sources import digits
from cnnlab.data.sources.tfds import TfdsSource
from cnnlab.errors import UserError
from tests.data.tfds_records import RecordList

IMAGES = np.zeros((20, 4, 4, 1), np.uint8)


@pytest.mark.parametrize(
    ("split", "label", "words"),
    [
        ("train", 10, "the train split has labels from 0 to 10, and 10 classes allow 0 to 9"),
        ("test", -1, "the test split has labels from -1 to 9, and 10 classes allow 0 to 9"),
    ],
)
def test_labels_out_of_range(monkeypatch, split, label, words):
    sources = {name: ArraySource(IMAGES, np.arange(20) // 2) for name in ("train", "test")}
    sources[split].labels[-1 if label > 0 else 0] = label
    sources[split].labels[5] = 0
    monkeypatch.setattr(digits, "load_splits", lambda image_size: sources)
    with pytest.raises(UserError, match=words):
        load("digits")


def test_empty_split(monkeypatch):
    sources = {"train": ArraySource(IMAGES[:0], np.arange(0))}
    monkeypatch.setattr(digits, "load_splits", lambda image_size: sources)
    with pytest.raises(UserError, match="its train split is empty"):
        load("digits")


def test_a_streamed_label_out_of_range_names_its_example():
    file = io.BytesIO()
    Image.fromarray(IMAGES[0, ..., 0]).save(file, "PNG")
    records = [{"image": file.getvalue(), "label": label} for label in (0, 2, -1, 3)]
    source = TfdsSource(RecordList(records), "image", "label", (4, 4, 1), num_classes=3)
    assert source[1]["label"] == 2
    for index, label in ((2, -1), (3, 3)):
        with pytest.raises(UserError, match=f"Example {index} has the label {label}, and 3 class"):
            source[index]
