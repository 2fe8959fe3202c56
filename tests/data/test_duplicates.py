"""The same file in several splits is reported."""

import shutil

import numpy as np

from cnnlab.data import DatasetRecord, load
from cnnlab.data.describe import describe
from cnnlab.data.sources import duplicates
from tests.data.test_folder import write


def test_copies_are_in_the_line_and_named(tmp_path):
    for number, split in enumerate(["train", "val", "test"]):
        for index in range(3):
            name = tmp_path / split / "ab"[index % 2] / f"{index}.png"
            write(name, np.random.default_rng([number, index]).integers(0, 255, (40, 40)))
    assert load(f"folder:{tmp_path}").info.copies == {}
    shutil.copy(tmp_path / "train" / "a" / "0.png", tmp_path / "test" / "b" / "copy.png")
    shutil.copy(tmp_path / "train" / "a" / "0.png", tmp_path / "test" / "b" / "twice.png")
    shutil.copy(tmp_path / "val" / "b" / "1.png", tmp_path / "train" / "b" / "copy.png")
    dataset = load(f"folder:{tmp_path}")
    said = {"of test in train": 2, "of validation in train": 1}
    assert dataset.info.copies == said
    line, *notes = describe(dataset)
    assert line.endswith("; copies: 2 of test in train, 1 of validation in train.")
    (note,) = [note for note in notes if note.startswith("files with the same bytes: ")]
    copies = "'test/b/copy.png' (test) and 'test/b/twice.png' (test) and 'train/a/0.png' (train)"
    assert copies in note
    record = DatasetRecord.from_json(DatasetRecord(dataset.info, dataset.paths).to_json())
    assert describe(load(f"folder:{tmp_path}", record=record))[0] == line


def test_few_files_are_read(tmp_path, monkeypatch):
    """Only those that agree in size and in their last bytes are read as a whole."""
    contents = [b"a" * 5000, b"b" + b"a" * 4999, b"c" * 5000, b"a" * 5001, b"a" * 5000]
    paths = [tmp_path / str(number) for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    read = []
    whole = duplicates._digest
    monkeypatch.setattr(duplicates, "_digest", lambda path: read.append(path) or whole(path))
    (group,) = duplicates.find_copies({"train": paths[:4], "test": paths[4:]})
    assert group == [("train", paths[0]), ("test", paths[4])]
    assert sorted(read) == [paths[0], paths[1], paths[4]]
