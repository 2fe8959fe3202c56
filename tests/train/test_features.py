"""Features of a split as a file: every example once, in order, whatever the batch size."""

from functools import partial

import jax
import numpy as np
import pytest

from cnnlab.config import Config, DataConfig, ModelConfig
from cnnlab.data import ArraySource
from cnnlab.errors import UserError
from cnnlab.inference.features import write_features
from cnnlab.models.features import extract
from cnnlab.train import build_experiment, load_data


@pytest.fixture(scope="module")
def parts():
    """Setup and variables of a LeNet, and ten digits, which batches of four do not divide."""
    config = Config(
        batch_size=4,
        data=DataConfig(name="digits", image_size=12),
        model=ModelConfig(name="lenet_relu"),
    )
    dataset = load_data(config)
    experiment = build_experiment(config, dataset.info)
    return (
        experiment,
        experiment.create_state().variables,
        dataset.splits["test"].take(np.arange(10)),
    )


def test_file_holds_what_extract_gives(parts, tmp_path):
    experiment, variables, source = parts
    shapes = write_features(tmp_path / "x.npz", experiment, variables, source, maps=True)
    assert shapes == {"embedding": (10, 84), "stride2": (10, 6, 6, 6), "stride4": (10, 1, 1, 16)}
    images = experiment.normalize()({"image": source.images})["image"]
    expected = jax.jit(partial(extract, experiment.model))(variables, images)
    with np.load(tmp_path / "x.npz") as file:
        for name, shape in shapes.items():
            assert file[name].dtype == np.float32
            assert file[name].shape == shape
            np.testing.assert_allclose(file[name], expected[name], rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(file["label"], source.labels)
        assert file["strides"].tolist() == [2, 4]
        assert file["map_names"].tolist() == ["stride2", "stride4"]
        assert file["class_names"].tolist() == list("0123456789")
    assert [path.name for path in tmp_path.iterdir()] == ["x.npz"]


def test_without_maps(parts, tmp_path):
    experiment, variables, source = parts
    shapes = write_features(
        tmp_path / "x.npz", experiment, variables, source, paths=list("abcdefghij")
    )
    assert list(shapes) == ["embedding"]
    with np.load(tmp_path / "x.npz") as file:
        assert set(file) == {"embedding", "map_names", "strides", "class_names", "path"}
        assert file["path"].tolist() == list("abcdefghij")


def test_a_failure_leaves_an_older_file_alone(parts, tmp_path):
    experiment, variables, source = parts
    (tmp_path / "x.npz").write_text("older")

    class Breaks(ArraySource):
        """Says it has more than it can give."""

        def __len__(self):
            return 11

    with pytest.raises(IndexError, match="out of bounds"):
        write_features(
            tmp_path / "x.npz", experiment, variables, Breaks(source.images, source.labels)
        )
    assert (tmp_path / "x.npz").read_text() == "older"
    assert [path.name for path in tmp_path.iterdir()] == ["x.npz"]


@pytest.mark.parametrize(
    ("out", "sentence"), [("no/x.npz", "there is no folder '.*no'"), ("", "is a folder")]
)
def test_places_that_cannot_be_written(parts, tmp_path, out, sentence):
    with pytest.raises(UserError, match=sentence):
        write_features(tmp_path / out, *parts)
