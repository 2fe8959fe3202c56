"""Sets of TFDS are prepared from small archives of their publishers' form, without TensorFlow."""

import gzip
import io
import struct
import sys
import tarfile
import threading
import time

import numpy as np
import pytest
import requests
import tensorflow_datasets as tfds
from PIL import Image
from tensorflow_datasets.core.download import checksums
from tensorflow_datasets.datasets.oxford_iiit_pet import oxford_iiit_pet_dataset_builder as pet
from tensorflow_datasets.image_classification import mnist

from cnnlab.cli.main import main
from cnnlab.data import image_shape_and_classes, prepare
from cnnlab.data.geometry.form import Wanted
from cnnlab.data.sources import tfds_builder
from cnnlab.data.sources.tensorflow_stand_in import tensorflow_stand_in
from cnnlab.data.sources.tfds import load_splits
from cnnlab.errors import UserError

DRAW = np.random.default_rng(0)


@pytest.fixture
def archives(tmp_path, monkeypatch):
    """Puts files where they need no download, and has TFDS expect those and not the real ones."""
    folder = tmp_path / "archives"
    folder.mkdir()

    def put(builder, url, content):
        path = folder / url.rsplit("/", 1)[-1]
        path.write_bytes(content)
        infos[url] = checksums.compute_url_info(path)
        infos[url].filename = path.name
        monkeypatch.setattr(builder, "url_infos", infos)
        return str(folder)

    infos = {}
    return put


def tar(files):
    """An archive of texts and bytes by their paths."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for path, content in files.items():
            content = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(path)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def picture(pixels, file_type):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, file_type)
    return buffer.getvalue()


def pixels_of(splits, split):
    """Label and bytes of each example, in no order."""
    examples = (splits[split][i] for i in range(len(splits[split])))
    return sorted((int(e["label"]), e["image"].tobytes()) for e in examples)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "kmnist"])
def test_mnist_and_its_kin(name, archives, tmp_path, monkeypatch):
    monkeypatch.setattr(mnist, "_TRAIN_EXAMPLES", 6)
    monkeypatch.setattr(mnist, "_TEST_EXAMPLES", 3)
    builder = {"mnist": mnist.MNIST, "fashion_mnist": mnist.FashionMNIST, "kmnist": mnist.KMNIST}
    expected = {}
    for split, file, count in (("train", "train", 6), ("test", "t10k", 3)):
        images = DRAW.integers(0, 256, (count, 28, 28, 1)).astype(np.uint8)
        labels = np.arange(count, dtype=np.uint8)
        expected[split] = sorted((int(k), x.tobytes()) for k, x in zip(labels, images, strict=True))
        images = gzip.compress(struct.pack(">4I", 2051, count, 28, 28) + images.tobytes())
        labels = gzip.compress(struct.pack(">2I", 2049, count) + labels.tobytes())
        url = builder[name].URL
        archives(builder[name], f"{url}{file}-images-idx3-ubyte.gz", images)
        manual = archives(builder[name], f"{url}{file}-labels-idx1-ubyte.gz", labels)
    prepare(name, str(tmp_path), manual)
    splits, classes, (shape, *_) = load_splits(name, Wanted(), str(tmp_path), None)
    assert (len(classes), shape) == (10, (28, 28, 1))
    assert {split: pixels_of(splits, split) for split in splits} == expected
    assert "tensorflow" not in sys.modules


@pytest.mark.parametrize(("name", "coarse"), [("cifar10", 0), ("cifar100", 1)])
def test_cifar(name, coarse, archives, tmp_path):
    builder = tfds.builder(name, data_dir=tmp_path)
    info = builder._cifar_info
    images = DRAW.integers(0, 256, (8, 3, 32, 32)).astype(np.uint8)
    files, expected = {}, {"train": [], "test": []}
    for split, parts in (("train", info.train_files), ("test", info.test_files)):
        for part in parts:
            number = len(files)
            files[info.prefix + part] = (
                bytes([5] * coarse + [number]) + images[number % 8].tobytes()
            )
            upright = images[number % 8].transpose(1, 2, 0)
            expected[split].append((number, upright.tobytes()))
    for key, names in zip(info.label_keys, info.label_files, strict=True):
        count = builder.info.features[key].num_classes
        files[info.prefix + names] = "\n".join(map(str, range(count)))
    manual = archives(type(builder), info.url, tar(files))
    prepare(name, str(tmp_path), manual)
    splits, classes, (shape, *_) = load_splits(name, Wanted(), str(tmp_path), None)
    assert (len(classes), shape) == ((100, 10)[not coarse], (32, 32, 3))
    assert {split: pixels_of(splits, split) for split in splits} == expected


def test_oxford_iiit_pet(archives, tmp_path, monkeypatch):
    """One of its images is a damaged file, which TFDS has decoded and encoded again."""
    damaged = next(iter(pet._CORRUPT_SAMPLES))
    names = {"Abyssinian_1": 1, damaged: 2, "pug_3": 3}
    images = {n: np.full((20, 24, 3), 40 * label, np.uint8) for n, label in names.items()}
    trimap = np.repeat(np.array([[1, 2, 3]], np.uint8), 20, 0).repeat(8, 1)
    photographs = tar({f"images/{n}.jpg": picture(x, "JPEG") for n, x in images.items()})
    lists = [f"{n} {label} 1 1\n" for n, label in names.items()]
    annotations = {f"annotations/trimaps/{n}.png": picture(trimap, "PNG") for n in names}
    annotations |= {
        "annotations/trainval.txt": "".join(lists[:2]),
        "annotations/test.txt": lists[2],
    }
    archives(pet.Builder, pet._BASE_URL + "/images.tar.gz", photographs)
    manual = archives(pet.Builder, pet._BASE_URL + "/annotations.tar.gz", tar(annotations))
    prepare("oxford_iiit_pet", str(tmp_path), manual)
    splits, classes, *_ = load_splits("oxford_iiit_pet", Wanted(image_size=20), str(tmp_path), None)
    assert len(classes) == 37
    train = {int(e["label"]): e["image"] for e in (splits["train"][i] for i in range(2))}
    assert sorted(train) == [0, 1]
    for label, found in train.items():
        np.testing.assert_allclose(found, 40.0 * (label + 1), atol=2)
    masks, classes, *_ = load_splits(
        "oxford_iiit_pet", Wanted(image_size=20, maps=True), str(tmp_path), None
    )
    assert set(np.unique(masks["test"][0]["label"])) == {0, 1, 2, 255}


def test_what_else_a_set_asks_of_tensorflow_is_said_to_be_missing():
    from tensorflow_datasets.core.utils.lazy_imports_utils import tensorflow

    with tensorflow_stand_in(), pytest.raises(ImportError, match=r"'tensorflow'.*'train'"):
        tensorflow.train.Example()
    with tensorflow_stand_in(), pytest.raises(ImportError, match="encode_png of float32"):
        tensorflow.io.encode_png(np.zeros((2, 2, 3), np.float32))
    with pytest.raises(ImportError):
        tensorflow.io.gfile.exists("here")  # outside, nothing stands in


@pytest.mark.parametrize(
    "pixels",
    [
        DRAW.integers(0, 256, (3, 4, 1), np.uint8),
        DRAW.integers(0, 256, (3, 4, 3), np.uint8),
        DRAW.integers(0, 256, (3, 4, 4), np.uint8),
        DRAW.integers(0, 2**16, (3, 4, 1), np.uint16),
    ],
    ids=lambda x: f"{x.dtype}_{x.shape[-1]}",
)
def test_png_files_keep_the_pixels(pixels):
    from tensorflow_datasets.core.utils.lazy_imports_utils import tensorflow

    with tensorflow_stand_in():
        data = tensorflow.io.encode_png(pixels).numpy()
        np.testing.assert_array_equal(tensorflow.image.decode_image(data).numpy(), pixels)


@pytest.mark.parametrize("way", ["refused", "silent", "slow_names"])
def test_without_a_network_it_answers_soon(way, tmp_path, monkeypatch):
    """No name server or no route; packets that vanish; a name server that does not answer."""
    monkeypatch.setattr(tfds_builder, "_PATIENCE", 0.3)
    ended = threading.Event()

    def head(url, timeout):
        if way == "refused":
            raise requests.ConnectionError("no route")
        if way == "silent":
            ended.wait(timeout)
            raise requests.Timeout("no answer")
        ended.wait(60)

    monkeypatch.setattr(requests, "head", head)
    start = time.monotonic()
    with pytest.raises(UserError, match=r"does not answer\. .*manual_dir=FOLDER"):
        prepare("mnist", str(tmp_path))
    assert time.monotonic() - start < 5
    ended.set()


@pytest.fixture
def no_preparation(monkeypatch):
    def fail(self, **_):
        raise AssertionError("started a download")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fail)


def test_shape_and_classes_need_no_download(no_preparation, tmp_path):
    def shape(name, **options):
        return image_shape_and_classes(name, data_dir=str(tmp_path), **options)

    assert shape("fashion_mnist") == ((28, 28, 1), 10)
    assert shape("cifar100", image_size=48) == ((48, 48, 3), 100)
    assert shape("oxford_iiit_pet") == ((224, 224, 3), 37)
    assert shape("oxford_iiit_pet", task="segmentation") == ((224, 224, 3), 3)
    assert shape("cityscapes", task="segmentation")[1] == 19
    assert image_shape_and_classes("digits") == ((28, 28, 1), 10)


def test_summary_and_dry_runs_start_no_download(no_preparation, tmp_path, capsys):
    config = ["--config=nin_fashion_mnist", f"--config.data.data_dir={tmp_path}"]
    assert main(["launch.py", "summary", *config, "--json"]) == 0
    assert '"input_shape": [28, 28, 1]' in capsys.readouterr().out
    asked = ["--param=seed=range(2)", "--sampler=grid", "--dry_run", f"--study={tmp_path / 'new'}"]
    assert main(["launch.py", "sweep", *config, *asked]) == 0
    assert "2 trials; nothing was started" in capsys.readouterr().out
    assert not (tmp_path / "new").exists()
