"""Weights of segmentation networks: files, folders and repositories, and what is said of them."""

import json

import jax
import numpy as np
import pytest

from cnnlab.errors import UserError
from cnnlab.pretrained import differing_options, files, image_statistics, load, save, source_options
from cnnlab.pretrained.arguments import smp_peer
from cnnlab.pretrained.convert import named_tensors, state_dict
from cnnlab.pretrained.peers import find_peer
from cnnlab.pretrained.shapes import variable_shapes
from cnnlab.pretrained.sources import read_source
from tests.conftest import assert_trees_equal

TINY = {"width": 4, "stage_sizes": (1, 1, 1, 1)}


def variables_of(name, classes=4, **options):
    """Random variables, drawn without compiling anything."""
    shapes = variable_shapes(name, options, num_classes=classes)
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda leaf: rng.random(leaf.shape, np.float32), shapes)


def stored_of(variables, peer):
    return state_dict(variables, named_tensors(variables, peer.namings[0]))


@pytest.mark.parametrize("with_aux", [True, False])
@pytest.mark.parametrize("name", ["fcn", "deeplabv3"])
def test_auxiliary_head_may_be_missing(name, with_aux, tmp_path):
    variables = variables_of(name, encoder_options=TINY, aux=with_aux)
    peer = find_peer("torchvision", f"{name}_resnet50")
    files.write(tmp_path / "x.safetensors", stored_of(variables, peer), {})
    loaded = load(str(tmp_path / "x.safetensors"), name, encoder_options=TINY, aux=not with_aux)
    assert all("/head/aux/" in path for path in loaded.new)
    assert bool(loaded.new) != with_aux
    assert loaded.model.head.num_classes == 4
    assert_trees_equal(loaded.variables["params"]["backbone"], variables["params"]["backbone"])
    del variables["params"]["head"]["aux" if with_aux else "logits"]
    del loaded.variables["params"]["head"]["logits" if with_aux else "aux"]
    if with_aux:
        del variables["params"]["head"]["logits"]
    else:
        del loaded.variables["params"]["head"]["logits"]
    assert_trees_equal(loaded.variables["params"]["head"], variables["params"]["head"])


def test_torchvision_file_is_taken_from_its_cache(tmp_path, monkeypatch):
    """With the options that it needs, ImageNet's statistics, and new logits for other classes."""
    variables = variables_of("fcn", 21, encoder="resnet101", encoder_options=TINY, aux=True)
    stored = stored_of(variables, find_peer("torchvision", "fcn_resnet101"))
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "fcn_resnet101_coco-7ecb50ca.pth").touch()
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(files, "read", lambda path: (stored, {}))
    for source in (
        "torchvision/fcn_resnet101",
        "torchvision/fcn_resnet101.COCO_WITH_VOC_LABELS_V1",
    ):
        loaded = load(source, encoder_options=TINY, aux=True)
        assert_trees_equal(loaded.variables, variables)
        assert loaded.statistics == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    few = load("torchvision/fcn_resnet101", num_classes=2, encoder_options=TINY)
    assert few.new == ("params/head/logits/bias", "params/head/logits/kernel")


def test_both_scores_of_lraspp_stay_new_for_other_classes(tmp_path):
    stored = stored_of(
        variables_of("lraspp"), find_peer("torchvision", "lraspp_mobilenet_v3_large")
    )
    files.write(tmp_path / "x.safetensors", stored, {})
    loaded = load(str(tmp_path / "x.safetensors"), "lraspp", num_classes=7)
    assert {path.split("/")[2] for path in loaded.new} == {"fine_logits", "logits"}


def test_saved_file_says_what_it_is(tmp_path):
    options = {"encoder": "vgg11", "attention": "scse", "widths": (32, 16, 16, 16, 16)}
    variables = variables_of("encoder_unet", 2, **options)
    path = tmp_path / "x.safetensors"
    saved = save(path, variables, "encoder_unet", naming="smp", **options)
    assert saved.call(channels=1) == (
        'smp.create_model("unet", encoder_name="vgg11", encoder_weights=None, classes=2, '
        "in_channels=1, decoder_channels=[32, 16, 16, 16, 16], decoder_attention_type='scse')"
    )
    metadata = files.read(path)[1]
    assert metadata["architecture"] == "smp/unet-vgg11"
    assert json.loads(metadata["arguments"])["decoder_attention_type"] == "scse"
    loaded = load(str(path))
    assert loaded.new == ()
    assert_trees_equal(loaded.variables, variables)
    with pytest.raises(UserError, match=r"need model.options.attention=scse.*set to none"):
        load(str(path), attention="none")


CONFIG = {
    "_model_class": "DeepLabV3Plus",
    "activation": "sigmoid",
    "aux_params": None,
    "classes": 3,
    "decoder_aspp_dropout": 0.5,
    "decoder_aspp_separable": True,
    "decoder_atrous_rates": [6, 12, 18],
    "decoder_channels": 16,
    "encoder_depth": 5,
    "encoder_name": "resnet18",
    "encoder_output_stride": 8,
    "encoder_weights": None,
    "in_channels": 3,
    "upsampling": 4,
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    """What segmentation_models_pytorch saves of a network, and its variables here."""
    options = {"encoder": "resnet18", "width": 16, "output_stride": 8, "rates": (6, 12, 18)}
    variables = variables_of("deeplabv3plus", 3, **options)
    peer = find_peer("smp", "deeplabv3plus-resnet18")
    files.write(tmp_path / "model.safetensors", stored_of(variables, peer), {})
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    return tmp_path, variables


def test_folder_of_smp(folder):
    path, variables = folder
    loaded = load(str(path))
    assert_trees_equal(loaded.variables, variables)
    assert loaded.model.backbone.strides[-1] == 8
    assert loaded.model.backbone.dilate_first
    assert loaded.model.head.rates == (6, 12, 18)
    assert loaded.model.head.num_classes == 3


def test_repository_of_smp(folder, monkeypatch):
    path, variables = folder
    asked = []

    def cached(repo, name):
        asked.append((repo, name))
        return str(path / name)

    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", cached)
    weights = read_source("smp/someone/streets")
    assert weights.peer.options["output_stride"] == 8
    assert weights.arrays.keys() == stored_of(variables, weights.peer).keys()
    assert asked == [("someone/streets", "config.json"), ("someone/streets", "model.safetensors")]
    assert image_statistics("smp/someone/streets") == image_statistics("timm/resnet18")
    monkeypatch.undo()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(path / "none"))
    with pytest.raises(UserError, match=r"hf download someone/streets config.json model"):
        load("smp/someone/streets")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"encoder_depth": 4}, "encoder_depth=4: its weights can be loaded where that is 5"),
        ({"decoder_use_norm": "layernorm"}, "where that is batchnorm or True"),
        ({"decoder_new": 1}, "where that is left out"),
        ({"encoder_name": "xception"}, "'smp/deeplabv3plus-xception' is none of the networks"),
        ({"_model_class": "DPT"}, "'smp/dpt-resnet18' is none of the networks"),
    ],
)
def test_networks_of_smp_that_are_none_of_ours(change, sentence):
    with pytest.raises(UserError, match=sentence):
        smp_peer(CONFIG | change, "'here'")


@pytest.mark.parametrize(
    ("source", "name", "options", "sentence"),
    [
        ("torchvision/fcn_resnet51", None, {}, "Did you mean 'fcn_resnet50'"),
        ("torchvision/fcn_resnet50.V2", None, {}, "Choose from: COCO_WITH_VOC_LABELS_V1"),
        ("torchvision/fcn_resnet50", "encoder_unet", {}, "set model.name=fcn"),
        ("torchvision/fcn_resnet50", None, {}, r"download https://\S*fcn_resnet50_coco-1167a1af"),
        ("smp/unet-resnet34", None, {}, "must be smp/OWNER/REPOSITORY"),
        ("x.safetensors", "unet", {}, "neither torchvision nor timm nor smp has that network"),
        (
            "x.safetensors",
            "encoder_unet",
            {"encoder": "squeezenet1_1"},
            "with the encoder squeezenet1_1",
        ),
        ("x.safetensors", "linknet", {"encoder": "resnet50"}, "none of the tensors that smp names"),
    ],
)
def test_sources_that_give_nothing(source, name, options, sentence, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    files.write(tmp_path / "x.safetensors", {"a": np.zeros(1, np.float32)}, {})
    with pytest.raises(UserError, match=sentence):
        load(source, name, **options)


def test_an_encoder_is_named_by_its_own_field():
    assert source_options("timm/resnet18", "resnet18", {}, encoder=True) == {}
    with pytest.raises(UserError, match=r"the encoder is resnet34: set model.options.encoder=resn"):
        source_options("timm/resnet18", "resnet34", {}, encoder=True)
    with pytest.raises(UserError, match=r"need model.options.encoder_options.norm_epsilon=1e-05"):
        source_options(
            "timm/mobilenetv3_large_100", "mobilenet_v3_large", {"norm_epsilon": 1.0}, encoder=True
        )


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("unet", {}, "torchvision has no network like unet: no library has it"),
        ("encoder_unet", {}, "torchvision has no network like encoder_unet: use naming=smp"),
        ("deeplabv3", {"encoder": "resnet18"}, "no deeplabv3 with the maps of resnet18: it has"),
        ("deeplabv3", {"rates": (1, 2, 3)}, r"has rates=\(1, 2, 3\) and not \(12, 24, 36\)"),
        ("deeplabv3", {"naming": "smp"}, "has align_corners=False and not True"),
        ("deeplabv3plus", {"naming": "smp", "output_stride": 4}, r"output_stride=4 and not \(8, 1"),
        ("fcn", {"encoder_options": {"width": 8}}, "has encoder_options.width=8 and not 64"),
        ("fcn8s", {}, "theirs is `fcn`|torchvision's `fcn` dilates"),
        ("pspnet", {"naming": "smp"}, "has dilate=True and not False"),
    ],
)
def test_networks_that_have_no_counterpart_are_not_saved(name, options, sentence, tmp_path):
    with pytest.raises(UserError, match=sentence):
        save(tmp_path / "x.safetensors", {}, name, **options)
    assert not list(tmp_path.iterdir())


def test_options_of_encoders_are_compared_with_their_defaults():
    same = {"encoder_options": {"stem": "imagenet", "zero_init_residual": True}}
    assert differing_options("encoder_unet", same, {}) == {}
    other = {"encoder_options": {"stem": "cifar"}}
    assert set(differing_options("encoder_unet", other, same)) == {"encoder_options.stem"}
    both = {**other, "encoder": "resnet18"}
    assert set(differing_options("encoder_unet", both, {})) == {"encoder"}
    handed_on = {"encoder_options": {"output_stride": 16}}
    assert set(differing_options("fcn", handed_on, {})) == {"encoder_options.output_stride"}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"_model_class": 5}, "'smp/5-resnet18' is none of the networks"),
        ({"encoder_name": None}, "'smp/deeplabv3plus-None' is none of the networks"),
        (
            {"decoder_channels": "abc"},
            "decoder_channels as a value like 256, and the file has 'abc'",
        ),
        ({"decoder_channels": 0}, "decoder_channels as a value like 256, and the file has 0"),
        ({"decoder_atrous_rates": 7}, r"decoder_atrous_rates as a value like \(12, 24, 36\)"),
        ({"decoder_atrous_rates": [1.5]}, r"decoder_atrous_rates as a value like \(12, 24, 36\)"),
        (
            {"decoder_use_norm": [{}]},
            "with decoder_use_norm=\\[{}\\]: its weights can be loaded where",
        ),
        ({"encoder_output_stride": 7}, "output_stride=7 must be a power of 2"),
    ],
)
def test_descriptions_that_make_no_sense(change, sentence, folder):
    path, _ = folder
    (path / "config.json").write_text(json.dumps(CONFIG | change))
    with pytest.raises(UserError, match=sentence):
        load(str(path))


@pytest.mark.parametrize("text", ["5", "[]", '"x"', "null", "{", "[" * 9999])
def test_descriptions_that_are_none(text, folder):
    path, _ = folder
    (path / "config.json").write_text(text)
    with pytest.raises(UserError, match="does not say of which network it is"):
        load(str(path))
