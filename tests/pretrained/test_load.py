"""Where weights come from: files of either library, the hub, PyTorch's cache; and what is said."""

import re
import sys
from functools import cache, partial
from pathlib import Path

import jax
import numpy as np
import pytest

from cnnlab.errors import UserError
from cnnlab.models import create_model
from cnnlab.pretrained import files, image_statistics, load, save, source_options
from cnnlab.pretrained.convert import named_tensors, state_dict
from cnnlab.pretrained.peers import PEERS, find_peer, peers_of
from tests.conftest import assert_trees_equal
from tests.pretrained import torch_files

SMALL = {"width": 8}


@cache
def shapes_of(name, classes, options):
    model = create_model(name, num_classes=classes, **dict(options))
    image = np.zeros((1, 64, 64, 3), np.float32)
    return jax.eval_shape(lambda: model.init(jax.random.key(0), image, train=False))


def variables_of(name, classes=10, **options):
    """Random variables, drawn without compiling anything."""
    shapes = shapes_of(name, classes, tuple(options.items()))
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: rng.random(leaf.shape, np.float32), shapes)


def stored_of(variables, peer, number=0):
    return state_dict(variables, named_tensors(variables, peer.namings[number]))


@pytest.fixture
def resnet(tmp_path):
    """Variables of a narrow ResNet-18, and a file of them."""
    variables = variables_of("resnet18", **SMALL)
    path = tmp_path / "resnet.safetensors"
    files.write(path, stored_of(variables, find_peer("timm", "resnet18")), {})
    return variables, str(path)


def test_file_gives_the_same_variables(resnet):
    variables, path = resnet
    loaded = load(path, "resnet18", **SMALL)
    assert_trees_equal(loaded.variables, variables)
    assert loaded.new == ()
    assert loaded.statistics is None
    assert loaded.model.head.num_classes == 10


@pytest.mark.parametrize(
    ("name", "library", "options"),
    [("regnet_y_400mf", "torchvision", {}), ("regnet_y_400mf", "timm", {}),
     ("mobilenet_v3_small", "timm", {}), ("vgg11", "timm", {"hidden": (8, 8), "width": 4})],
)  # fmt: skip
def test_naming_is_recognised_from_the_keys(name, library, options, tmp_path):
    variables = variables_of(name, **options)
    path = tmp_path / "x.safetensors"
    files.write(path, stored_of(variables, peers_of(name, library)[0]), {})
    loaded = load(str(path), name, **options)
    assert_trees_equal(loaded.variables, variables)
    if name == "mobilenet_v3_small":  # timm's network has another epsilon than ours by default
        assert loaded.model.backbone.norm_epsilon == 1e-5


def test_densenet_files_of_torchvision_have_old_names(tmp_path):
    options = {"growth_rate": 4, "stage_sizes": (2, 1, 1, 1)}
    variables = variables_of("densenet121", **options)
    stored = stored_of(variables, find_peer("torchvision", "densenet121"), number=1)
    assert "features.denseblock1.denselayer1.norm.1.weight" in stored
    files.write(tmp_path / "x.safetensors", stored, {})
    loaded = load(str(tmp_path / "x.safetensors"), "densenet121", **options)
    assert_trees_equal(loaded.variables, variables)


def test_new_head_and_gray_images(resnet):
    variables, path = resnet
    loaded = load(path, "resnet18", num_classes=3, channels=1, **SMALL)
    assert loaded.new == ("params/head/logits/bias", "params/head/logits/kernel")
    assert loaded.variables["params"]["head"]["logits"]["kernel"].shape == (64, 3)
    stem = variables["params"]["backbone"]["stem_conv"]["kernel"]
    np.testing.assert_allclose(
        loaded.variables["params"]["backbone"]["stem_conv"]["kernel"],
        stem.sum(axis=2, keepdims=True),
        rtol=1e-6,
    )
    apply = partial(loaded.model.apply, train=False)
    logits = jax.eval_shape(apply, loaded.variables, np.ones((1, 33, 33, 1), np.float32))
    assert logits.shape == (1, 3)


@pytest.mark.parametrize("with_aux", [True, False])
def test_auxiliary_classifiers_may_be_missing(with_aux, tmp_path):
    options = {"width": 0.1, "aux_hidden": 8}
    variables = variables_of("googlenet", aux=with_aux, **options)
    files.write(tmp_path / "x.safetensors", stored_of(variables, peers_of("googlenet")[0]), {})
    loaded = load(str(tmp_path / "x.safetensors"), "googlenet", aux=not with_aux, **options)
    assert all(path.split("/")[2].startswith("aux") for path in loaded.new)
    assert bool(loaded.new) != with_aux


@pytest.mark.parametrize("wrap", [lambda d: d, lambda d: {"state_dict": d, "epoch": 3}])
def test_pytorch_files(resnet, tmp_path, wrap):
    torch = pytest.importorskip("torch")
    variables, path = resnet
    tensors = {key: torch.from_numpy(array) for key, array in files.read(Path(path))[0].items()}
    tensors["fc.bias"] = torch.nn.Parameter(tensors["fc.bias"].bfloat16())
    torch.save(wrap(tensors), tmp_path / "x.pth")
    loaded = load(str(tmp_path / "x.pth"), "resnet18", **SMALL)
    bias = variables["params"]["head"]["logits"]["bias"]
    np.testing.assert_allclose(
        loaded.variables["params"]["head"]["logits"]["bias"], bias, rtol=1e-2
    )


def test_pytorch_file_without_pytorch(resnet, tmp_path, monkeypatch):
    variables, path = resnet
    monkeypatch.setitem(sys.modules, "torch", None)
    arrays = torch_files.state_dict(files.read(Path(path))[0])
    (tmp_path / "x.pth").write_bytes(torch_files.archive(arrays))
    assert_trees_equal(load(str(tmp_path / "x.pth"), "resnet18", **SMALL).variables, variables)


def test_damaged_files(tmp_path):
    (tmp_path / "x.safetensors").write_bytes(b"123")
    with pytest.raises(UserError, match="cannot be read as safetensors"):
        load(str(tmp_path / "x.safetensors"), "resnet18")
    (tmp_path / "x.pth").write_bytes(b"123")
    with pytest.raises(UserError, match="is text, which begins with '123'"):
        load(str(tmp_path / "x.pth"), "resnet18")
    (tmp_path / "y.pt").write_bytes(torch_files.archive([1, 2]))
    with pytest.raises(UserError, match="holds no tensors but an object of the type list"):
        load(str(tmp_path / "y.pt"), "resnet18")


@pytest.mark.parametrize(
    ("source", "name", "sentence"),
    [
        ("timm/resnet19", None, "Did you mean 'resnet18'"),
        ("torchvision/resnet18.V9", None, "has no weights 'V9'. Choose from: IMAGENET1K_V1"),
        ("timm/seresnet18", None, "timm offers no weights of seresnet18"),
        ("timm/resnet18", "resnet34", "set model.name=resnet18"),
        ("nothing.pth", "resnet18", "There is no file 'nothing.pth'"),
        ("resnet18", "resnet18", "'resnet18' names no weights"),
        ("smp/../..", "fcn", "must be smp/OWNER/REPOSITORY"),
        ("#ema", "resnet18", "'#ema' names no weights"),
        ("nothing.pth#ema", "resnet18", "There is no file 'nothing.pth'"),
        (f"{'long' * 999}.pth", "resnet18", "There is no file 'long"),
        ("a\0b.pth", "resnet18", r"There is no file 'a\\x00b.pth'"),
        ("https://x.org/a.pth", "resnet18", "download the file, and give its path"),
        ("torchvision/mobilenet_v2", None, r"download https://.*mobilenet_v2-7ebf99e0.pth into"),
    ],
)
def test_sources_that_give_nothing(source, name, sentence, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: "no.safetensors")
    monkeypatch.setattr(files, "read", _read_nothing(files.read))
    with pytest.raises(UserError, match=sentence):
        load(source, name)


def _read_nothing(read):
    return lambda path: ({}, {}) if path.name == "no.safetensors" else read(path)


def test_files_that_do_not_fit(resnet):
    _, path = resnet
    with pytest.raises(UserError, match="give its name as well"):
        load(path)
    with pytest.raises(UserError, match="has none of the tensors that torchvision or timm names"):
        load(path, "vgg11")
    with pytest.raises(UserError, match="No weights can be loaded into lenet"):
        load(path, "lenet")
    with pytest.raises(UserError, match=r"names of torchvision, does not fit: missing: layer1\.2"):
        load(path, "resnet34", **SMALL)
    with pytest.raises(UserError, match=r"layer1.0.bn1.running_mean is \(8,\), not \(64,\)"):
        load(path, "resnet18")


def test_options_that_equal_logits_need():
    assert source_options("timm/mobilenetv3_large_100", "mobilenet_v3_large", {"width": 1.0}) == {
        "width": 1.0,
        "norm_epsilon": 1e-5,
    }
    assert source_options("timm/tf_efficientnet_b1.ap_in1k", "efficientnet_b1", {}) == {
        "padding": "SAME",
        "norm_epsilon": 1e-3,
    }
    assert source_options("x.safetensors", "resnet18", {"stem": "cifar"}) == {"stem": "cifar"}
    widths = [64, 128, 320, 768]  # a list, as a config that was read from JSON has it
    assert source_options("timm/regnety_008", "regnet_y_800mf", {"widths": widths})
    with pytest.raises(UserError, match=r"need model.options.norm_epsilon=1e-05"):
        source_options("timm/mobilenetv3_large_100", "mobilenet_v3_large", {"norm_epsilon": 1e-3})


def test_file_whose_network_is_another_function(tmp_path):
    variables = variables_of("mobilenet_v3_small")
    path = str(tmp_path / "x.safetensors")
    files.write(
        tmp_path / "x.safetensors",
        stored_of(variables, peers_of("mobilenet_v3_small", "timm")[0]),
        {},
    )
    with pytest.raises(UserError, match=r"need model.options.norm_epsilon=1e-05"):
        load(path, "mobilenet_v3_small", norm_epsilon=1e-3)


def test_hub_file_is_taken_from_its_cache(resnet, monkeypatch):
    variables, path = resnet
    asked = []

    def cached(repo, name):
        asked.append((repo, name))
        return path

    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", cached)
    monkeypatch.setenv("TORCH_HOME", "/nowhere")
    for source in ("timm/resnet18", "timm/resnet18.gluon_in1k", "torchvision/resnet18"):
        loaded = load(source, **SMALL)
        assert_trees_equal(loaded.variables, variables)
        assert loaded.statistics == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert asked == [
        ("timm/resnet18.a1_in1k", "model.safetensors"),
        ("timm/resnet18.gluon_in1k", "model.safetensors"),
        ("timm/resnet18.tv_in1k", "model.safetensors"),
    ]


def test_torchvision_file_is_taken_from_its_cache(resnet, tmp_path, monkeypatch):
    variables, path = resnet
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    tensors = torch_files.state_dict(files.read(Path(path))[0])
    (folder / "resnet18-f37072fd.pth").write_bytes(torch_files.archive(tensors))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert_trees_equal(load("torchvision/resnet18", **SMALL).variables, variables)


def test_hub_that_cannot_be_reached(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match=r"hf download timm/resnet34.a1_in1k model.safetensors"):
        load("timm/resnet34")


@pytest.mark.parametrize("naming", ["torchvision", "timm"])
def test_saved_file_says_what_it_is(naming, tmp_path):
    variables = variables_of("regnet_y_400mf", 7)
    path = tmp_path / "new" / "x.safetensors"
    peer = save(path, variables, "regnet_y_400mf", naming=naming, metadata={"note": "mine"}).peer
    _, metadata = files.read(path)
    assert metadata == {"format": "pt", "architecture": str(peer), "num_classes": "7",
                        "note": "mine"}  # fmt: skip
    assert_trees_equal(load(str(path)).variables, variables)


def test_saved_as_the_network_whose_options_it_has(tmp_path):
    variables = variables_of("efficientnet_b0")
    path = tmp_path / "x.safetensors"
    options = {"padding": "SAME", "norm_epsilon": 1e-3, "dropout_rate": 0.5}
    saved = save(path, variables, "efficientnet_b0", naming="timm", **options)
    assert saved.peer.name == "tf_efficientnet_b0"
    assert load(str(path)).model.backbone.padding == "SAME"


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("lenet", {}, "torchvision has no network like lenet: for digits"),
        ("resnetv2_50", {}, "torchvision has no network like resnetv2_50: use naming=timm"),
        ("resnet18", {"stem": "cifar"}, "has stem=cifar and not imagenet"),
        ("mobilenet_v3_small", {"norm_epsilon": 1e-5}, "has norm_epsilon=1e-05 and not 0.001"),
        ("resnet18", {"naming": "keras"}, "Unknown naming 'keras'"),
        ("resnet81", {}, "Did you mean 'resnet18'"),
    ],
)
def test_networks_that_have_no_counterpart_are_not_saved(name, options, sentence, tmp_path):
    with pytest.raises(UserError, match=sentence):
        save(tmp_path / "x.safetensors", {}, name, **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.peer
def test_names_on_offer_are_those_of_the_libraries():
    """Default tags, file names, copies on the hub, and what images are normalised with."""
    from cnnlab.pretrained.sources import _COPIES, torchvision_labels
    from tests.pretrained.peer_networks import libraries

    _, torchvision, timm, _ = libraries()
    tags = timm.list_pretrained()
    for peer in PEERS:
        if peer.library == "torchvision":
            entries = torchvision.models.get_model_weights(peer.name)
            labels = torchvision_labels(peer)
            whole = [entry for entry in entries if entry.name != "IMAGENET1K_FEATURES"]
            assert {entry.name: entry.url for entry in whole} == {
                label: f"https://download.pytorch.org/models/{name}.pth"
                for label, name in labels.items()
            }
            assert not labels or list(labels)[-1] == entries.DEFAULT.name
            copied = [
                tag
                for label, (tag, pattern) in _COPIES.items()
                if label in labels and re.fullmatch(pattern, peer.architecture)
            ]
            copy = next((p for p in peers_of(peer.architecture, "timm") if not p.options), None)
            assert not copied or copy
            assert all(f"{copy.name}.{tag}" in tags for tag in copied)
        elif peer.library == "timm":
            default = timm.get_pretrained_cfg(peer.name)
            offered = [] if default.tag == "untrained" else [default.tag]
            assert list(peer.weights) == offered, peer
            for tag in [tag for tag in tags if tag.split(".")[0] == peer.name]:
                config = timm.get_pretrained_cfg(tag)
                assert image_statistics(f"timm/{tag}") == (config.mean, config.std), tag
            if offered:
                expected = image_statistics(f"timm/{peer.name}.{offered[0]}")
                assert image_statistics(f"timm/{peer.name}") == expected
