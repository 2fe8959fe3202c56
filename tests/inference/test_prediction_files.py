"""Image files are predicted a batch at a time, all batches of one shape."""

import csv
import types

import numpy as np
from PIL import Image

from cnnlab.config import Config, apply_overrides
from cnnlab.data import DatasetInfo
from cnnlab.inference.prediction_files import file_probabilities, prediction_table, table_columns

INFO = DatasetInfo("x", ("a", "b"), (4, 4, 1), {"train": 1}, (0.5,), (0.5,))


class Recorder:
    """A run whose probabilities are the mean of an image; it keeps the shapes of batches."""

    config = apply_overrides(Config(), {"evaluation.batch_size": 4})
    info = INFO

    def __init__(self):
        self.shapes = []

    def probabilities(self, images):
        self.shapes.append(images.shape)
        return images.mean((1, 2, 3))[:, None] * np.ones(2)


def test_batches_have_one_shape_and_files_their_order(tmp_path):
    paths = [str(tmp_path / f"{number}.png") for number in range(10)]
    for number, path in enumerate(paths):
        Image.new("L", (7, 7), 10 * number).save(path)
    run = Recorder()
    found = file_probabilities(run, paths)
    assert next(found)[0] == 0
    assert len(run.shapes) == 1  # the others are not computed before they are asked for
    assert [values[0] for values in found] == [10 * number for number in range(1, 10)]
    assert run.shapes == [(4, 4, 4, 1)] * 3


def test_columns_of_several_labels_are_a_table_that_can_be_trained_on(tmp_path):
    columns = table_columns("multilabel", INFO.class_names, top=2)
    with prediction_table(tmp_path / "p.csv", columns) as write:
        entries = [{"class": "a", "probability": 0.75}, {"class": "b", "probability": 0.5}]
        write({"image": "x.png", "labels": entries})
        write({"image": "caf\udce9.png", "labels": []})
    with (tmp_path / "p.csv").open(errors="surrogateescape") as file:
        rows = [types.SimpleNamespace(**row) for row in csv.DictReader(file)]
    assert [(row.path, row.labels, row.probabilities) for row in rows] == [
        ("x.png", "a;b", "0.75;0.5"),
        ("caf\udce9.png", "", ""),
    ]
