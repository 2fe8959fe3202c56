"""Files that PyTorch itself writes, of every kind that training scripts save."""

import argparse
import collections
import pathlib

import numpy as np
import pytest

from cnnlab.errors import UserError
from cnnlab.pretrained import fit_weights, load, read_source, save
from cnnlab.pretrained.key_maps import regnet
from cnnlab.pretrained.peers import peers_of
from tests.pretrained.peer_networks import build, libraries, randomise
from tests.pretrained.test_load import shapes_of, variables_of

pytestmark = pytest.mark.peer


@pytest.fixture(scope="module")
def network():
    """A ResNet-18 of timm with drawn weights."""
    return randomise(build("timm", "resnet18", num_classes=10), seed=0)


def prefixed(state, prefix):
    return collections.OrderedDict((prefix + key, value) for key, value in state.items())


def halves(state, dtype):
    return {k: v.to(dtype) if v.is_floating_point() else v for k, v in state.items()}


def averaged(network):
    torch = libraries()[0]
    return torch.optim.swa_utils.AveragedModel(network).state_dict()


def optimizer(network):
    torch = libraries()[0]
    made = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
        made.state[parameter] = {"momentum_buffer": torch.ones_like(parameter)}
    return made.state_dict()


SAVED = {
    "state dict": ("a.pth", lambda n, s: s),
    "timm": ("model_best.pth.tar", lambda n, s: {
        "epoch": 1, "arch": "resnet18", "state_dict": s, "optimizer": optimizer(n), "version": 2,
        "args": argparse.Namespace(lr=0.1, output=pathlib.Path("out")), "metric": np.float64(3)}),
    "torchvision": ("checkpoint.pth#model_ema", lambda n, s: {
        "model": {k: v + 1 for k, v in s.items()}, "model_ema": averaged(n),
        "lr_scheduler": collections.Counter(), "args": argparse.Namespace(model="resnet18")}),
    "Lightning": ("last.ckpt", lambda n, s: {
        "state_dict": prefixed(s, "model."), "hyper_parameters": {"lr": 0.1}, "loops": {},
        "callbacks": {"ModelCheckpoint{'monitor': 'val'}": {"best": libraries()[0].tensor(1.0)}}}),
    "compiled": ("a.pt", lambda n, s: libraries()[0].compile(n).state_dict()),
    "data parallel": ("a.th", lambda n, s: {"net": libraries()[0].nn.DataParallel(n).state_dict()}),
    "whole module": ("a.PTH", lambda n, s: n),
    "parameters": ("a.bin", lambda n, s: dict(n.named_parameters()) | dict(n.named_buffers())),
    "channels last": ("a.pth", lambda n, s: {
        k: v.contiguous(memory_format=libraries()[0].channels_last) if v.ndim == 4 else v
        for k, v in s.items()}),
    "views": ("a.pth", lambda n, s: {
        k: libraries()[0].stack([v, v], -1)[..., 1] for k, v in s.items()}),
}  # fmt: skip


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("case", SAVED)
def test_file_of_torch_save(case, old, network, tmp_path):
    torch = libraries()[0]
    name, make = SAVED[case]
    state = network.state_dict()
    path = tmp_path / name.partition("#")[0]
    torch.save(make(network, state), path, _use_new_zipfile_serialization=not old)
    check(f"{tmp_path}/{name}", state)


def check(source, state):
    shapes = shapes_of("resnet18", 10, ())
    found = fit_weights(read_source(str(source)), "resnet18", {}, shapes)
    assert not found.new
    for path, key in (
        (("stem_conv", "kernel"), "conv1.weight"),
        (("stage4_block2", "norm2", "scale"), "layer4.1.bn2.weight"),
    ):
        ours = found.arrays["params", "backbone", *path]
        ours = ours.transpose(3, 2, 0, 1) if ours.ndim == 4 else ours
        np.testing.assert_array_equal(ours, state[key].detach().float().numpy())


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float64"])
def test_other_precisions(kind, network, tmp_path):
    torch = libraries()[0]
    state = halves(network.state_dict(), getattr(torch, kind))
    torch.save(state, tmp_path / "a.pth")
    check(tmp_path / "a.pth", state)


def test_torch_script(network, tmp_path):
    torch = libraries()[0]
    torch.jit.trace(network, torch.zeros(1, 3, 64, 64)).save(tmp_path / "a.pt")
    check(tmp_path / "a.pt", network.state_dict())


def test_file_without_sums(network, tmp_path):
    torch = libraries()[0]
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(network.state_dict(), tmp_path / "a.pth")
    finally:
        torch.serialization.set_crc32_options(True)
    check(tmp_path / "a.pth", network.state_dict())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda torch, x: x.to_sparse(), "is a sparse tensor"),
        (lambda torch, x: torch.quantize_per_tensor(x, 0.1, 0, torch.qint8), "is quantised"),
        (lambda torch, x: x.to(torch.float8_e4m3fn), "is stored as float8_e4m3fn"),
        (lambda torch, x: x.to("meta"), "is on the meta device"),
        (lambda torch, x: x.to(torch.complex64), "is of type complex64"),
        (lambda torch, x: torch.nested.nested_tensor([x, x]), "is a nested tensor"),
        (lambda torch, x: x.int(), "of whole numbers"),
    ],
)
def test_tensors_that_are_no_plain_numbers(change, sentence, network, tmp_path):
    torch = libraries()[0]
    state = network.state_dict()
    state["conv1.weight"] = change(torch, state["conv1.weight"].contiguous())
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(UserError, match=sentence):
        fit_weights(
            read_source(str(tmp_path / "a.pth")), "resnet18", {}, shapes_of("resnet18", 10, ())
        )


@pytest.mark.parametrize(
    "peer",
    [peer for name in ("regnet_x_400mf", "regnet_y_800mf", "regnet_y_8gf")
     for peer in peers_of(name, "timm") if regnet.timm in peer.namings],
    ids=str,
)  # fmt: skip
def test_variants_of_timm_are_told_apart(peer, tmp_path):
    torch = libraries()[0]
    network = build("timm", peer.name, num_classes=7).to_empty(device="cpu")
    state = {key: torch.zeros_like(value) for key, value in network.state_dict().items()}
    torch.save(state, tmp_path / "a.pth")
    loaded = load(tmp_path / "a.pth", peer.architecture)
    assert loaded.options == peer.options
    assert loaded.model.head.num_classes == 7


@pytest.mark.parametrize(
    ("name", "naming", "options"),
    [
        ("resnet18", "torchvision", {}),
        ("resnet18", "timm", {}),
        ("googlenet", "torchvision", {"aux": True}),
        ("googlenet", "torchvision", {"aux": False}),
        ("mnasnet0_5", "torchvision", {}),
        ("regnet_x_400mf", "timm", {"widths": (32, 64, 160, 384)}),
    ],
)
def test_what_is_saved_loads_as_it_is_printed(name, naming, options, tmp_path):
    torch, torchvision, timm, _ = libraries()
    safetensors = pytest.importorskip("safetensors.torch")
    path = tmp_path / "x.safetensors"
    saved = save(path, variables_of(name, 7, **options), name, naming=naming, **options)
    names = {"torchvision": torchvision, "timm": timm, "collections": collections,
             "safetensors": argparse.Namespace(torch=safetensors)}  # fmt: skip
    with torch.device("meta"):
        names["model"] = eval(saved.call(), names)
    names["model"].to_empty(device="cpu")
    exec(saved.loading(path), names)
    loaded = load(path, **({"aux": True} if "aux" in options else {}))
    assert bool(loaded.new) == (options.get("aux") is False)
