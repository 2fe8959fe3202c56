"""TFDS sets, offline: builders defined here, prepared and read without TensorFlow."""

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image
from tensorflow_datasets.core.download.extractor import ExtractError
from tensorflow_datasets.core.download.util import DownloadError

from cnnlab.data import load
from cnnlab.data.catalog import TFDS_NAMES, list_datasets
from cnnlab.data.geometry.form import Wanted
from cnnlab.data.source import ArraySource
from cnnlab.data.sources.tfds import TfdsSource, load_splits
from cnnlab.data.sources.tfds_builder import find_builder, prepare
from cnnlab.data.sources.tfds_masks import KNOWN
from cnnlab.data.sources.tfds_records import Records
from cnnlab.errors import UserError
from cnnlab.storage.object_store import upload
from tests.data.tfds_records import RecordList

COUNTS = {"train": 12, "test": 5, "validation": 4}


def image(index, size=6):
    return np.random.default_rng(index).integers(0, 256, (size, size, 3)).astype(np.uint8)


def png(pixels):
    """A file, as TFDS encodes arrays by TensorFlow, and takes files as they are."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    file.seek(0)
    return file


class CnnlabTiny(tfds.core.GeneratorBasedBuilder):
    """Three splits of two classes; photographs of no fixed size."""

    VERSION = tfds.core.Version("1.0.0")
    pkg_dir_path = Path(__file__).parent
    shape = (None, None, 3)

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(
                {
                    "mask": tfds.features.Image(shape=(None, None, 1)),
                    "image": tfds.features.Image(shape=self.shape),
                    "label": tfds.features.ClassLabel(names=["cat", "dog"]),
                }
            ),
            supervised_keys=("image", "label"),
        )

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(split) for split in COUNTS}

    def _generate_examples(self, split):
        for index in range(COUNTS[split]):
            picture = image(index, 6 if self.shape[0] else 6 + index)
            yield (
                index,
                {
                    "image": png(picture),
                    "mask": png(picture[..., 0]),
                    "label": index % 2,
                },
            )


class CnnlabFixed(CnnlabTiny):
    """Images of one size, and a validation split only."""

    VERSION = tfds.core.Version("1.0.0")
    pkg_dir_path = Path(__file__).parent
    shape = (6, 6, 3)

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(split) for split in ("train", "validation")}


class CnnlabTable(tfds.core.GeneratorBasedBuilder):
    """Not a set of images."""

    VERSION = tfds.core.Version("1.0.0")
    pkg_dir_path = Path(__file__).parent

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict({"height": np.float32, "weight": np.float32}),
        )

    def _split_generators(self, dl_manager):
        raise NotImplementedError

    def _generate_examples(self):
        raise NotImplementedError


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """A folder with both sets prepared."""
    folder = str(tmp_path_factory.mktemp("tfds"))
    for name in ("cnnlab_tiny", "cnnlab_fixed"):
        prepare(name, data_dir=folder)
    return folder


def test_images_of_one_size_come_as_they_are(data_dir):
    splits, class_names, (shape, *_) = load_splits("cnnlab_fixed", Wanted(), data_dir, None)
    assert shape == (6, 6, 3)
    assert class_names == ("cat", "dog")
    assert {name: len(source) for name, source in splits.items()} == {"train": 12, "test": 4}
    # TFDS shuffles what it writes: the images are compared as a set.
    found = {splits["train"][i]["image"].tobytes() for i in range(12)}
    assert found == {image(index).tobytes() for index in range(12)}
    for index in range(12):
        example = splits["train"][index]
        source = next(i for i in range(12) if np.array_equal(image(i), example["image"]))
        assert example["label"] == source % 2


def test_only_the_features_that_are_asked_for_are_parsed(data_dir):
    records = Records(find_builder("cnnlab_tiny", data_dir), "train", ("image", "label"))
    assert len(records) == COUNTS["train"]
    assert set(records[0]) == {"image", "label"}
    assert records.read_many([3, 0]) == [records[3], records[0]]
    assert [record["label"] for record in records] == [records[i]["label"] for i in range(12)]


def test_a_validation_split_beside_a_test_split_stays_one(data_dir):
    splits, *_ = load_splits("cnnlab_tiny", Wanted(image_size=8), data_dir, None)
    assert {name: len(source) for name, source in splits.items()} == COUNTS


@pytest.mark.parametrize(("asked", "size"), [(None, 224), (10, 10)])
def test_photographs_of_many_sizes_are_fitted(data_dir, asked, size):
    splits, _, (shape, *_) = load_splits("cnnlab_tiny", Wanted(image_size=asked), data_dir, None)
    assert shape == (size, size, 3)
    assert splits["train"][3]["image"].shape == shape
    assert splits["train"][3]["image"].dtype == np.uint8


def test_decoded_images_are_kept_and_read_again(data_dir, tmp_path, monkeypatch):
    monkeypatch.setenv("CNNLAB_CACHE", str(tmp_path))
    first, *_ = load_splits("cnnlab_fixed", Wanted(), data_dir, None)

    def fail(self):
        raise AssertionError("decoded twice")

    monkeypatch.setattr(TfdsSource, "decode", fail)
    again, *_ = load_splits("cnnlab_fixed", Wanted(), data_dir, None)
    assert isinstance(again["train"], ArraySource)
    np.testing.assert_array_equal(first["train"].images, again["train"].images)
    np.testing.assert_array_equal(first["test"].labels, again["test"].labels)


def test_what_does_not_fit_into_memory_is_decoded_when_asked_for(data_dir, monkeypatch):
    monkeypatch.setattr("cnnlab.data.cache.MAX_BYTES", 100)
    splits, *_ = load_splits("cnnlab_fixed", Wanted(), data_dir, None)
    source = splits["train"]
    assert isinstance(source, TfdsSource)
    assert source[0]["image"].shape == (6, 6, 3)
    images, labels = source.read_many(np.array([5, 0]))
    for row, index in enumerate((5, 0)):
        np.testing.assert_array_equal(images[row], source[index]["image"])
        assert labels[row] == source[index]["label"]


def test_the_loader_takes_such_a_set(data_dir):
    dataset = load("cnnlab_fixed", data_dir=data_dir, validation_fraction=1 / 3)
    counts = {"train": 7, "validation": 5, "test": 4}
    assert dict(dataset.info.num_examples) == counts
    assert {name: len(source) for name, source in dataset.splits.items()} == counts


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(UserError, match=r"Unknown data set 'fashon_mnist'.*fashion_mnist"):
        load_splits("fashon_mnist", Wanted(), None, None)


def test_a_set_in_an_object_store_is_copied(data_dir, bucket):
    local = {
        p.relative_to(data_dir).as_posix(): p for p in Path(data_dir).rglob("*") if p.is_file()
    }
    upload(f"{bucket}/sets", {name: path for name, path in local.items() if "fixed" in name})
    here, *_ = load_splits("cnnlab_fixed", Wanted(), data_dir, None)
    there, *_ = load_splits("cnnlab_fixed", Wanted(), f"{bucket}/sets", None)
    np.testing.assert_array_equal(there["train"].images, here["train"].images)
    with pytest.raises(UserError, match="prepare it in a local folder, and copy that to the store"):
        load_splits("cnnlab_tiny", Wanted(), f"{bucket}/sets", None)


def test_an_unknown_version_is_named(data_dir):
    with pytest.raises(UserError, match=r"cnnlab_fixed:9.9.9 cannot be had from TFDS"):
        load_splits("cnnlab_fixed:9.9.9", Wanted(), data_dir, None)


def test_a_table_is_not_an_image_classification_set(data_dir):
    with pytest.raises(UserError, match=r"not an image classification set.*height, weight"):
        load_splits("cnnlab_table", Wanted(), data_dir, None)


def test_a_missing_manual_dir_is_named(tmp_path):
    with pytest.raises(UserError, match=r"^manual_dir=.*nowhere: there is no such folder"):
        prepare("cnnlab_tiny", str(tmp_path), str(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (DownloadError("no route to host"), "no route to host. On a machine without network"),
        (AssertionError("Manual directory x does not exist"), "manual_dir=FOLDER"),
        (OSError("disk full"), "disk full"),
        (ImportError("No module named 'tensorflow'"), r"pip install 'cnnlab\[prepare\]'"),
    ],
)
def test_a_failed_preparation_says_what_to_do(tmp_path, monkeypatch, error, words):
    def fail(self, **_):
        raise error

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fail)
    with pytest.raises(UserError, match=words):
        prepare("cnnlab_tiny", str(tmp_path))


def test_tensorflow_is_found_missing_behind_other_errors(tmp_path, monkeypatch):
    def fail(self, **_):
        try:
            raise ImportError("No module named 'tensorflow'")
        except ImportError as cause:
            raise ExtractError("Error while extracting x.gz") from cause

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fail)
    with pytest.raises(UserError, match="Preparing 'cnnlab_tiny' needs TensorFlow"):
        prepare("cnnlab_tiny", str(tmp_path))


def test_the_listed_names_exist():
    assert set(TFDS_NAMES) <= set(tfds.list_builders(with_community_datasets=False))


def test_the_list_says_which_have_masks():
    lines = list_datasets()
    assert {name for name in TFDS_NAMES if "segmentation" in lines[name]} == set(KNOWN)


def test_reading_needs_no_tensorflow(data_dir):
    script = (
        "import sys\n"
        "import tests.data.test_tfds\n"
        "from cnnlab.data.geometry.form import Wanted\n"
        "from cnnlab.data.sources.tfds import load_splits\n"
        f"splits, *_ = load_splits('cnnlab_fixed', Wanted(), {data_dir!r}, None)\n"
        "print(splits['train'][0]['image'].shape, 'tensorflow' in sys.modules)"
    )
    root = Path(__file__).parents[2]
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=root,
        env={**os.environ, "CNNLAB_CACHE": data_dir}, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "(6, 6, 3) False" in result.stdout


@pytest.mark.real_data
def test_fashion_mnist_as_published():
    """Counts, and the mean 0.2860 and deviation 0.3530 that the literature normalises with."""
    if not tfds.builder("fashion_mnist", file_format="array_record").is_prepared():
        pytest.skip("fashion_mnist is not prepared: python launch.py prepare ...")
    dataset = load("fashion_mnist", validation_fraction=0.0)
    assert dict(dataset.info.num_examples) == {"train": 60_000, "test": 10_000}
    assert dataset.info.class_names[0] == "T-shirt/top"
    np.testing.assert_allclose(dataset.info.mean, [0.2860], atol=1e-4)
    np.testing.assert_allclose(dataset.info.std, [0.3530], atol=1e-4)
    np.testing.assert_array_equal(np.bincount(dataset.splits["train"].labels), [6_000] * 10)


def test_a_broken_record_is_named():
    records = RecordList([{"image": b"no image", "label": 0}])
    source = TfdsSource(records, "image", "label", (6, 6, 3), 2)
    with pytest.raises(UserError, match="'example 0' cannot be read as an image"):
        source[0]
