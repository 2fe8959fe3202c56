"""TFDS sets with masks, offline: builders defined here, prepared and read without TensorFlow."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds

from cnnlab.data import IGNORE, ArraySource, load
from cnnlab.data.sources.tfds_builder import prepare
from cnnlab.data.sources.tfds_masks import KNOWN, MaskValues, TfdsMaskSource, image_and_mask_keys
from cnnlab.errors import UserError
from tests.data.test_tfds import image, png

COUNTS = {"train": 8, "test": 4}


def mask(pixels):
    """The class of each pixel: its image's red, in four steps, the first pixel ignored."""
    labels = pixels[..., 0] // 64
    labels[0, 0] = IGNORE
    return labels


class CnnlabScenes(tfds.core.GeneratorBasedBuilder):
    """Photographs of no fixed size whose masks TFDS does not mark as such, beside a label."""

    VERSION = tfds.core.Version("1.0.0")
    pkg_dir_path = Path(__file__).parent
    mask_key, factor = "segmentation_mask", 1

    def mask_feature(self):
        return tfds.features.Image(shape=(None, None, 1))

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(
                {
                    self.mask_key: self.mask_feature(),
                    "image": tfds.features.Image(shape=(None, None, 3)),
                    "label": tfds.features.ClassLabel(names=["cat", "dog"]),
                }
            ),
            supervised_keys=("image", "label"),
        )

    def _split_generators(self, dl_manager):
        return {split: self._generate_examples(split) for split in COUNTS}

    def _generate_examples(self, split):
        for index in range(COUNTS[split]):
            pixels = image(index, 12 + index)
            labels = np.where(mask(pixels) == IGNORE, IGNORE, mask(pixels) * self.factor)
            yield (
                index,
                {
                    "image": png(pixels),
                    self.mask_key: png(labels.astype(np.uint8)),
                    "label": index % 2,
                },
            )


class CnnlabNamedScenes(CnnlabScenes):
    """Masks that TFDS marks as such, with the names of their classes."""

    VERSION = tfds.core.Version("1.0.0")
    pkg_dir_path = Path(__file__).parent
    mask_key = "whatever"

    def mask_feature(self):
        return tfds.features.LabeledImage(labels=["sky", "tree", "sea", "road", "none"])


class CnnlabVotes(CnnlabScenes):
    """Masks whose values are no labels."""

    VERSION = tfds.core.Version("1.0.0")
    pkg_dir_path = Path(__file__).parent
    mask_key, factor = "mask", 51


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("tfds"))
    for name in ("cnnlab_scenes", "cnnlab_named_scenes", "cnnlab_votes"):
        prepare(name, data_dir=folder)
    return folder


def load_masks(name, data_dir, **options):
    return load(name, task="segmentation", data_dir=data_dir, validation_fraction=0, **options)


@pytest.mark.parametrize(
    ("name", "class_names"),
    [
        ("cnnlab_scenes", ("0", "1", "2", "3")),
        ("cnnlab_named_scenes", ("sky", "tree", "sea", "road", "none")),
    ],
)
def test_masks_are_read_with_their_names(data_dir, name, class_names):
    dataset = load_masks(name, data_dir, image_size=12)
    assert dataset.info.class_names == class_names
    assert dataset.info.num_examples == COUNTS
    source = dataset.splits["train"]
    assert isinstance(source, ArraySource)
    assert source.labels.shape == (8, 12, 12)
    # The first image has that size already: TFDS shuffles what it writes, so it is looked for.
    found = [i for i in range(8) if np.array_equal(source.images[i], image(0, 12))]
    np.testing.assert_array_equal(source.labels[found[0]], mask(image(0, 12)))


def test_what_does_not_fit_into_memory_is_decoded_when_asked_for(data_dir, monkeypatch):
    whole = load_masks("cnnlab_scenes", data_dir, image_size=10).splits["test"]
    monkeypatch.setattr("cnnlab.data.cache.MAX_BYTES", 100)
    streamed = load_masks("cnnlab_scenes", data_dir, image_size=10).splits["test"]
    assert isinstance(streamed, TfdsMaskSource)
    for index in range(4):
        np.testing.assert_array_equal(streamed[index]["label"], whole.labels[index])
        np.testing.assert_array_equal(streamed[index]["image"], whole.images[index])


def test_the_same_set_serves_classification(data_dir):
    dataset = load("cnnlab_scenes", data_dir=data_dir, image_size=10, validation_fraction=0)
    assert dataset.info.class_names == ("cat", "dog")
    assert dataset.splits["train"].labels.shape == (8,)


def test_values_that_are_no_labels(data_dir):
    with pytest.raises(UserError, match=r"values of its 'mask' are no labels .* 0, 51, 102, 153"):
        load_masks("cnnlab_votes", data_dir, image_size=10)


def test_known_values_become_labels():
    values = KNOWN["oxford_iiit_pet"]
    np.testing.assert_array_equal(values.labels(np.array([[[1], [2], [3]]], np.uint8)), [[0, 1, 2]])
    # Gray read as color; 0 is none of the classes.
    places = np.repeat(np.array([[[0], [1], [150]]], np.uint8), 3, axis=-1)
    np.testing.assert_array_equal(KNOWN["scene_parse150"].labels(places), [[IGNORE, 0, 149]])
    for known in KNOWN.values():
        assert len(known.names) == len(known.values)


def test_a_label_that_no_class_has():
    with pytest.raises(UserError, match="A mask has the label 2, and 2 classes allow 0 to 1"):
        MaskValues(("a", "b")).labels(np.array([[[0], [2], [IGNORE]]], np.uint8))


@pytest.mark.parametrize("name", KNOWN)
def test_the_known_sets_have_masks(name, tmp_path):
    builder = tfds.builder(name, data_dir=str(tmp_path), file_format="array_record")
    image_key, mask_key = image_and_mask_keys(name, builder)
    assert image_key.startswith("image")
    assert mask_key in ("segmentation_mask", "segmentation_label", "annotation")


def test_reading_needs_no_tensorflow(data_dir):
    script = (
        "import sys\n"
        "import tests.data.test_tfds_masks\n"
        "from cnnlab.data import load\n"
        f"data = load('cnnlab_scenes', task='segmentation', data_dir={data_dir!r}, image_size=8)\n"
        "print(data.splits['test'].labels.shape, 'tensorflow' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True,
        cwd=Path(__file__).parents[2], env={**os.environ, "CNNLAB_CACHE": data_dir}, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "(4, 8, 8) False" in result.stdout
