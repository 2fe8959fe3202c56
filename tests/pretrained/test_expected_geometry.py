"""What pretrained weights expect of the size of images."""

import ast
from collections import Counter
from pathlib import Path

import pytest

from cnnlab.models import model_task
from cnnlab.pretrained import expected_geometry, image_geometry
from cnnlab.pretrained.expected_geometry import ImageGeometry
from cnnlab.pretrained.peers import PEERS


def test_known_sources():
    assert image_geometry("timm/resnet18.a1_in1k") == (224, 0.95, "bicubic", "shortest")
    assert image_geometry("torchvision/resnet50.IMAGENET1K_V1") == (
        (224, 0.875, "bilinear", "shortest")
    )
    assert image_geometry("torchvision/resnet50") == ImageGeometry(224, 224 / 232, "bilinear")
    for unknown in ("timm/resnet18.nobody", "smp/someone/streets", "weights.pth", "runs/head"):
        assert image_geometry(unknown) is None


def test_each_geometry_is_one_key():
    """A second entry of the same key would replace the first without a word."""
    tree = ast.parse(Path(expected_geometry.__file__).read_text())
    for table in (node for node in ast.walk(tree) if isinstance(node, ast.Dict)):
        keys = Counter(ast.unparse(key) for key in table.keys if key)
        assert max(keys.values(), default=1) == 1


@pytest.mark.peer
def test_known_sources_are_as_the_libraries_have_them():
    from cnnlab.pretrained.sources import torchvision_labels
    from tests.pretrained.peer_networks import libraries

    _, torchvision, timm, _ = libraries()
    tags = timm.list_pretrained()
    for peer in PEERS:
        if model_task(peer.architecture) == "segmentation":
            assert image_geometry(f"{peer.library}/{peer.name}") is None
            continue
        if peer.library == "torchvision":
            entries = torchvision.models.get_model_weights(peer.name)
            for label in torchvision_labels(peer):
                theirs = entries[label].transforms()
                size = theirs.crop_size[0]
                expected = (size, size / theirs.resize_size[0], theirs.interpolation.value)
                assert image_geometry(f"torchvision/{peer.name}.{label}")[:3] == expected, label
        elif peer.library == "timm":
            for tag in [tag for tag in tags if tag.split(".")[0] == peer.name]:
                config = timm.get_pretrained_cfg(tag)
                resize = "squash" if config.crop_mode == "squash" else "shortest"
                expected = (config.input_size[1], config.crop_pct, config.interpolation, resize)
                assert image_geometry(f"timm/{tag}") == expected, tag
            if peer.weights:
                ours = image_geometry(f"timm/{peer.name}")
                assert ours == image_geometry(f"timm/{peer.name}.{peer.weights[0]}")
