"""Which of several networks a file is of, by its shapes and by what it says; and what is saved."""

import json

import pytest

from cnnlab.errors import UserError
from cnnlab.pretrained import fit_weights, load, read_source, save
from cnnlab.pretrained.peers import find_peer
from tests.conftest import assert_trees_equal
from tests.pretrained import torch_files
from tests.pretrained.test_load import shapes_of, stored_of, variables_of

WIDTHS = (32, 64, 160, 384)
TF = {"padding": "SAME", "norm_epsilon": 1e-3}
SHORT = {"stages": ((1, 3, 16, 1, 1), (6, 3, 24, 1, 2))}
SHALLOW = {"stage_sizes": (1, 1, 1, 1)}


def written(path, variables, peer, tree=lambda tensors: tensors):
    stored = torch_files.state_dict(stored_of(variables, find_peer("timm", peer)))
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(torch_files.archive(tree(stored)))
    return str(path)


@pytest.mark.parametrize(
    ("peer", "options"), [("regnetx_004", {"widths": WIDTHS}), ("regnetx_004_tv", {})]
)
def test_variants_are_told_apart_by_shapes(peer, options, tmp_path):
    variables = variables_of("regnet_x_400mf", **SHALLOW, **options)
    path = written(tmp_path / "x.pth", variables, peer)
    loaded = load(path, "regnet_x_400mf", **SHALLOW)
    assert loaded.options == SHALLOW | options
    assert_trees_equal(loaded.variables, variables)
    given = load(
        path, "regnet_x_400mf", **SHALLOW, widths=options.get("widths", (32, 64, 160, 400))
    )
    assert_trees_equal(given.variables, variables)
    with pytest.raises(
        UserError, match=r"need model.options.widths|does not fit: of another shape"
    ):
        load(path, "regnet_x_400mf", **SHALLOW, widths=(32, 64, 160, 416))
    own, other = SHALLOW | options, SHALLOW | ({} if options else {"widths": WIDTHS})
    for network, fits in ((own, True), (other, False)):
        shapes = shapes_of("regnet_x_400mf", 10, tuple(network.items()))
        if fits:
            assert not fit_weights(read_source(path), "regnet_x_400mf", network, shapes).new
        else:
            with pytest.raises(
                UserError, match=r"set model.options.widths=\(32, 64, 160, |not \(384,\)"
            ):
                fit_weights(read_source(path), "regnet_x_400mf", network, shapes)


@pytest.fixture(scope="module")
def efficientnet():
    return variables_of("efficientnet_b0", **SHORT)


def test_networks_of_the_same_tensors_are_not_guessed(efficientnet, tmp_path):
    """TensorFlow's padding and epsilon leave no trace in a file: 8e-3 in the logits."""
    path = written(tmp_path / "x.pth", efficientnet, "efficientnet_b0")
    with pytest.raises(
        UserError,
        match=r"tensors of timm/efficientnet_b0 and of timm/tf_efficientnet_b0, .* set "
        r"model.options.norm_epsilon=1e-05, model.options.padding=\S+ for timm/efficientnet_b0, or "
        r"model.options.norm_epsilon=0.001, model.options.padding=SAME for timm/tf_efficientnet_b0",
    ):
        load(path, "efficientnet_b0", **SHORT)
    assert load(path, "efficientnet_b0", **SHORT, padding="SAME").options == SHORT | TF
    assert load(path, "efficientnet_b0", **SHORT, norm_epsilon=1e-5).options == SHORT | {
        "norm_epsilon": 1e-5
    }


@pytest.mark.parametrize(
    ("name", "tree", "tensorflows"),
    [
        ("tf_efficientnet_b0_ns-c0e6a31c.pth", None, True),
        ("tf_efficientnet_b0.pth", None, True),
        ("efficientnet_b0_ra-3dd342df.pth", None, False),
        ("models--timm--tf_efficientnet_b0.ns_jft_in1k/x.bin", None, True),
        ("models--timm--efficientnet_b0.ra_in1k/x.bin", None, False),
        ("x.pth.tar", lambda d: {"state_dict": d, "arch": "tf_efficientnet_b0"}, True),
        ("x.pth", lambda d: {"model": d, "args": {"model": "efficientnet_b0"}}, False),
        ("efficientnet_b0.pth", None, None),
        ("tf_efficientnet_b01.pth", None, None),
    ],
)
def test_what_a_file_says_of_its_network(name, tree, tensorflows, efficientnet, tmp_path):
    path = written(tmp_path / name, efficientnet, "efficientnet_b0", *([tree] if tree else []))
    if tensorflows is None:
        with pytest.raises(UserError, match="compute differently"):
            load(path, "efficientnet_b0", **SHORT)
    else:
        assert load(path, "efficientnet_b0", **SHORT).options == SHORT | (TF if tensorflows else {})


def test_folder_of_the_hub(efficientnet, tmp_path):
    path = written(tmp_path / "hub" / "pytorch_model.bin", efficientnet, "efficientnet_b0")
    config = {"architecture": "tf_efficientnet_b0.ns_jft_in1k", "num_classes": 10}
    (tmp_path / "hub" / "config.json").write_text(json.dumps(config))
    for source in (path, str(tmp_path / "hub")):
        loaded = load(source, **SHORT)
        assert loaded.options == SHORT | TF
        assert_trees_equal(loaded.variables, efficientnet)


def test_a_file_may_name_its_network(tmp_path):
    variables = variables_of("resnet18", width=8)
    tree = {"arch": "resnet18", "state_dict": torch_files.state_dict(
        stored_of(variables, find_peer("timm", "resnet18")))}  # fmt: skip
    (tmp_path / "x.pth.tar").write_bytes(torch_files.archive(tree))
    assert_trees_equal(load(tmp_path / "x.pth.tar", width=8).variables, variables)


@pytest.mark.parametrize(
    ("name", "made", "given", "sentence"),
    [
        ("resnet18", {"width": 8}, {}, r"A resnet18 with its default options does not fit: of an"),
        ("resnet18", {}, {"width": 8}, "has width=8 and not 64"),
    ],
)
def test_only_what_the_named_network_loads_is_saved(name, made, given, sentence, tmp_path):
    variables = variables_of(name, **made)
    with pytest.raises(UserError, match=sentence):
        save(tmp_path / "x.safetensors", variables, name, **given)
    assert not list(tmp_path.iterdir())


def test_the_variant_whose_arrays_are_saved_is_named(tmp_path):
    variables = variables_of("regnet_x_400mf", widths=WIDTHS)
    path = tmp_path / "x.safetensors"
    with pytest.raises(
        UserError, match=r"with its default options does not fit: .*mean is \(384,\), not \(400,\)"
    ):
        save(path, variables, "regnet_x_400mf", naming="timm")
    saved = save(path, variables, "regnet_x_400mf", naming="timm", widths=list(WIDTHS))
    assert saved.peer.name == "regnetx_004"
    assert_trees_equal(load(str(path)).variables, variables)
