"""Files of weights as people have them: each is loaded as it is meant, or refused in a sentence."""

import io
import json
import struct
import zipfile

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from cnnlab.errors import UserError
from cnnlab.models import create_model
from cnnlab.pretrained import fit_weights, load, read_source
from cnnlab.pretrained.convert import named_tensors, state_dict
from cnnlab.pretrained.peers import find_peer
from tests.pretrained import torch_files as files
from tests.pretrained.torch_files import Block, Call, Global, archive, pickles, safetensors, tensor

OPTIONS = {"width": 2, "stage_sizes": (1, 1)}
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


@pytest.fixture(scope="module")
def shapes():
    """Of a tiny ResNet for ten classes."""
    model = create_model("resnet18", num_classes=10, **OPTIONS)
    image = jnp.zeros((1, 64, 64, 3))
    return jax.eval_shape(lambda: model.init(jax.random.key(0), image, train=False))


@pytest.fixture(scope="module")
def variables(shapes):
    rng = np.random.default_rng(0)
    # Sixteenths, which half precision holds exactly.
    return jax.tree.map(lambda leaf: rng.integers(0, 64, leaf.shape).astype("f4") / 16, shapes)


@pytest.fixture(scope="module")
def arrays(variables):
    """The same as a state dict."""
    return state_dict(variables, named_tensors(variables, find_peer("timm", "resnet18").namings[0]))


def plain(arrays):
    return files.state_dict(arrays)


def renamed(arrays, prefix):
    return {f"{prefix}{key}": array for key, array in arrays.items()}


def cast(arrays, dtype):
    return {k: x.astype(dtype) if x.dtype == np.float32 else x for k, x in arrays.items()}


def wrong(arrays):
    return {key: array + 1 for key, array in arrays.items()}


def without(arrays, *ends):
    return {key: array for key, array in arrays.items() if not key.endswith(ends)}


def headless(arrays):
    return without(arrays, "fc.weight", "fc.bias")


def optimizer(arrays):
    """The state of SGD with momentum: by number, and with the shapes of the weights."""
    buffers = [{"momentum_buffer": tensor(x + 1)} for x in arrays.values()]
    return {"state": dict(enumerate(buffers)), "param_groups": [{"lr": 0.1}]}


NAMESPACE = Call(Global("argparse", "Namespace"), (), {"model": "resnet18", "lr": 0.1})
NUMPY_SCALAR = Call(
    Global("numpy._core.multiarray", "scalar"),
    (Call(Global("numpy", "dtype"), ("f8", False, True), (3, "<", None, None, None, -1, -1, 0)),
     Call(Global("_codecs", "encode"), ("\x00" * 8, "latin1"))),
)  # fmt: skip
NUMPY_ARRAY = Call(
    Global("numpy._core.multiarray", "_reconstruct"),
    (Global("numpy", "ndarray"), (0,), b"b"),
    (1, (1,), Call(Global("numpy", "dtype"), ("f8", False, True)), False, b"\x00" * 8),
)
MODULE_OF_OTHERS = Call(Global("my_research.trainer", "Callback"), (1,), {"best": 3.0})


def module(arrays):
    """A network that was saved whole: modules in modules."""
    inner = {}
    for key, array in arrays.items():
        place, parts = inner, key.split(".")
        for part in parts[:-1]:
            place = place.setdefault("_modules", {}).setdefault(part, {})
        kind = "_buffers" if "running" in key or "num_batches" in key else "_parameters"
        place.setdefault(kind, {})[parts[-1]] = files.parameter(array)

    def build(place):
        modules = {name: build(part) for name, part in place.get("_modules", {}).items()}
        state = {"training": False, "_parameters": {}, "_buffers": {}, **place, "_modules": modules}
        return Call(Global("my_research.models", "Net"), (), state)

    return build(inner)


def script(arrays):
    """A TorchScript module: attributes in attributes."""
    inner = {}
    for key, array in arrays.items():
        place, parts = inner, key.split(".")
        for part in parts[:-1]:
            place = place.setdefault(part, {})
        place[parts[-1]] = tensor(array)

    def build(place):
        state = {k: build(v) if isinstance(v, dict) else v for k, v in place.items()}
        return Call(Global("__torch__.net", "Net"), (), {"training": False, **state})

    return build(inner)


def one_storage(arrays):
    """All weights as views of one block, as optimizers that flatten them leave them."""
    flat = [x for x in arrays.values() if x.dtype == np.float32]
    block = Block("0", np.concatenate([x.ravel() for x in flat]))
    offsets = dict(
        zip(map(id, flat), np.cumsum([0, *(x.size for x in flat)]).tolist()[:-1], strict=True)
    )
    return {
        key: tensor(x, block, offsets[id(x)]) if x.dtype == np.float32 else tensor(x)
        for key, x in arrays.items()
    }


def strided(arrays):
    """Convolutions in the channels_last layout, and columns of wider matrices."""

    def make(x):
        if x.ndim == 4:
            return tensor(x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2))
        if x.ndim == 2:
            return tensor(np.concatenate([x, x], 1)[:, : x.shape[1]])
        return tensor(x)

    return {key: make(array) for key, array in arrays.items()}


def expanded(arrays):
    """Scales that are one number, repeated."""
    same = {
        k: np.broadcast_to(np.float32(1), x.shape) for k, x in arrays.items() if "bn1.weight" in k
    }
    return {key: same.get(key, array) for key, array in arrays.items()}


LOADED = {
    "state dict": ("a.pth", lambda d: archive(plain(d))),
    "plain dictionary": ("a.pt", lambda d: archive({k: tensor(x) for k, x in d.items()})),
    "parameters": ("a.pt", lambda d: archive(files.state_dict(d, files.parameter))),
    "capital suffix": ("a.PTH", lambda d: archive(plain(d))),
    "suffix .pth.tar": ("model_best.pth.tar", lambda d: archive({"state_dict": plain(d)})),
    "suffix .th": ("a.th", lambda d: archive(plain(d))),
    "suffix .bin": ("pytorch_model.bin", lambda d: archive(plain(d))),
    "suffix .ckpt": ("last.ckpt", lambda d: archive({"state_dict": plain(renamed(d, "model."))})),
    "no known suffix": ("weights.model", lambda d: archive(plain(d))),
    "compressed records": ("a.pth", lambda d: archive(plain(d), compress=True)),
    "no sums": ("a.pth", lambda d: archive(plain(d), crc=False)),
    "other root folder": ("a.pth", lambda d: archive(plain(d), root="resnet18")),
    "no byteorder": ("a.pth", lambda d: archive(plain(d), drop=["byteorder"])),
    "big endian": ("a.pth", lambda d: archive(plain(d), order="big")),
    "old format": ("a.pth", lambda d: pickles(plain(d))),
    "old format, one storage": ("a.pth", lambda d: pickles(one_storage(d))),
    "old format, checkpoint": (
        "a.pth.tar",
        lambda d: pickles(
            {"epoch": 3, "state_dict": plain(renamed(d, "module.")), "optimizer": optimizer(d)}
        ),
    ),
    "one storage": ("a.pth", lambda d: archive(one_storage(d))),
    "strided": ("a.pth", lambda d: archive(strided(d))),
    "half": ("a.pth", lambda d: archive(plain(cast(d, np.float16)))),
    "bfloat16": ("a.pth", lambda d: archive(plain(cast(d, BFLOAT16)))),
    "double": ("a.pth", lambda d: archive(plain(cast(d, np.float64)))),
    "untyped storages": (
        "a.pth",
        lambda d: archive({k: files.new_style(x, str(x.dtype)) for k, x in d.items()}),
    ),
    "negative view": (
        "a.pth",
        lambda d: archive({k: tensor(-x, flags={"neg": True}) for k, x in d.items()}),
    ),
    "prefix module.": ("a.pth", lambda d: archive(plain(renamed(d, "module.")))),
    "prefix model.": ("a.pth", lambda d: archive(plain(renamed(d, "model.")))),
    "prefix _orig_mod.": ("a.pth", lambda d: archive(plain(renamed(d, "_orig_mod.")))),
    "prefix backbone.": ("a.pth", lambda d: archive(plain(renamed(d, "backbone.")))),
    "prefix module.encoder_q.": (
        "a.pth",
        lambda d: archive({"state_dict": plain(renamed(d, "module.encoder_q."))}),
    ),
    "prefix of its own": ("a.pth", lambda d: archive(plain(renamed(d, "net.body.resnet.")))),
    "wrapper inside": (
        "a.pth",
        lambda d: archive(plain({k.replace("layer1.", "layer1.module."): x for k, x in d.items()})),
    ),
    "compiled and parallel": ("a.pth", lambda d: archive(plain(renamed(d, "_orig_mod.module.")))),
    "key net": ("a.pth", lambda d: archive({"net": plain(renamed(d, "module.")), "acc": 95.4})),
    "key model_state_dict": (
        "a.pt",
        lambda d: archive(
            {"model_state_dict": plain(d), "optimizer_state_dict": optimizer(d), "loss": 0.1}
        ),
    ),
    "key state_dict_ema alone": ("a.pth", lambda d: archive({"state_dict_ema": plain(d)})),
    "key of its own": ("a.pth", lambda d: archive({"weights": {"student": plain(d)}})),
    "nested list": ("a.pth", lambda d: archive([plain(d)])),
    "mean and best beside": (
        "a.pth",
        lambda d: archive(
            {
                "state_dict": plain(d),
                "mean": tensor(np.ones(3, "f4")),
                "best": tensor(np.float32(1)),
            }
        ),
    ),
    "arguments, scalars, objects": (
        "a.pth",
        lambda d: archive(
            {
                "model": plain(d),
                "args": NAMESPACE,
                "best": NUMPY_SCALAR,
                "history": NUMPY_ARRAY,
                "path": Call(Global("pathlib", "PosixPath"), ("/", "data")),
                "callback": MODULE_OF_OTHERS,
                "size": Call(Global("torch", "Size"), ((1, 2),)),
                "type": Global("torch", "float32"),
                "device": Call(Global("torch", "device"), ("cuda", 0)),
                "set": {1, 2},
                "date": Call(
                    Global("datetime", "datetime"), (b"\x07\xe8\x01\x01\x00\x00\x00\x00\x00\x00",)
                ),
                "default": Call(
                    Global("collections", "defaultdict"), (Global("builtins", "list"),)
                ),
                "partial": Call(Global("functools", "partial"), (Global("torch.optim", "SGD"),)),
            }
        ),
    ),
    "model and an average, chosen": (
        "a.pth#model_ema",
        lambda d: archive(
            {
                "model": plain(wrong(d)),
                "model_ema": {
                    **renamed({k: tensor(x) for k, x in d.items()}, "module."),
                    "n_averaged": tensor(np.int64(3)),
                },
            }
        ),
    ),
    "teacher, chosen": (
        "a.pth#teacher",
        lambda d: archive(
            {
                "student": plain(wrong(renamed(d, "module.backbone."))),
                "teacher": plain(renamed(d, "backbone.")),
            }
        ),
    ),
    "query encoder, chosen": (
        "a.pth#state_dict/encoder_q",
        lambda d: archive(
            {
                "state_dict": plain(
                    renamed(d, "module.encoder_q.")
                    | renamed(wrong(d), "module.encoder_k.")
                    | {"module.queue": np.ones((4, 8), "f4")}
                )
            }
        ),
    ),
    "top level, chosen": (
        "a.pth#.",
        lambda d: archive({**{k: tensor(x) for k, x in d.items()}, "ema": plain(wrong(d))}),
    ),
    "profilers' buffers": (
        "a.pth",
        lambda d: archive(
            plain(
                d
                | {
                    f"{at}total_{what}": np.zeros(1)
                    for at in ("", "layer1.0.")
                    for what in ("ops", "params")
                }
            )
        ),
    ),
    "no counters": ("a.pth", lambda d: archive(plain(without(d, "num_batches_tracked")))),
    "averaged weights' counter": (
        "a.pth",
        lambda d: archive(plain(renamed(d, "module.") | {"n_averaged": np.int64(7)})),
    ),
    "whole module": ("a.pth", lambda d: archive(module(d))),
    "whole module, old format": ("a.pth", lambda d: pickles({"model": module(d)})),
    "TorchScript": ("a.pt", lambda d: archive(script(d), records={"constants.pkl": b"\x80\x02)."})),
    "safetensors": (
        "a.safetensors",
        lambda d: safetensors(
            {
                k: ("F32" if x.dtype == np.float32 else "I64", x.shape, x.tobytes())
                for k, x in d.items()
            }
        ),
    ),
    "safetensors with a prefix": (
        "a.safetensors",
        lambda d: safetensors(
            {f"model.{k}": ("F32", x.shape, x.tobytes()) for k, x in d.items() if x.ndim}
        ),
    ),
    "safetensors under another name": (
        "a.bin",
        lambda d: safetensors(
            {k: ("F16", x.shape, x.astype(np.float16).tobytes()) for k, x in d.items() if x.ndim}
        ),
    ),
    "safetensors of bfloat16": (
        "a.SafeTensors",
        lambda d: safetensors(
            {k: ("BF16", x.shape, x.astype(BFLOAT16).tobytes()) for k, x in d.items() if x.ndim}
        ),
    ),
}


@pytest.mark.parametrize("case", LOADED)
def test_file_is_loaded(case, arrays, variables, shapes, tmp_path):
    name, make = LOADED[case]
    file, sign, entry = name.partition("#")
    (tmp_path / file).write_bytes(make(arrays))
    found = fit_weights(read_source(f"{tmp_path / file}{sign}{entry}"), "resnet18", OPTIONS, shapes)
    assert found.new == found.adapted == ()
    expected = flatten_dict(variables)
    assert found.arrays.keys() == expected.keys()
    for path, array in found.arrays.items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, expected[path], err_msg=str(path))


def test_repeated_values_are_loaded(arrays, shapes, tmp_path):
    (tmp_path / "a.pth").write_bytes(archive(plain(expanded(arrays))))
    found = fit_weights(read_source(str(tmp_path / "a.pth")), "resnet18", OPTIONS, shapes)
    scale = found.arrays["params", "backbone", "stage1_block1", "norm1", "scale"]
    np.testing.assert_array_equal(scale, np.ones(2, np.float32))


@pytest.mark.parametrize(
    "make",
    [
        headless,
        lambda d: headless(d) | {"fc.0.weight": np.ones((4, 4), "f4")},  # MoCo v2's projection
        lambda d: renamed(headless(d), "module.backbone.") | {"module.head.mlp": np.ones(3, "f4")},
    ],
)
def test_file_without_a_classifier(make, arrays, shapes, tmp_path):
    """The head is new where one is wanted, and is asked for where the file should tell."""
    path = tmp_path / "a.pth"
    path.write_bytes(archive(plain(make(arrays))))
    found = fit_weights(read_source(str(path)), "resnet18", OPTIONS, shapes)
    head = {("params", "head", "logits", leaf) for leaf in ("kernel", "bias")}
    assert set(found.new) == head
    assert found.arrays.keys() == flatten_dict(shapes).keys() - head
    loaded = load(path, "resnet18", num_classes=5, **OPTIONS)
    assert set(loaded.new) == {"/".join(p) for p in head}
    with pytest.raises(UserError, match=r"no classifier \(fc.weight|fc.bias.* num_classes"):
        load(path, "resnet18", **OPTIONS)


@pytest.mark.parametrize("kind", ["safetensors", "bin"])
@pytest.mark.parametrize("give", ["index", "folder"])
def test_sharded_files(kind, give, arrays, variables, shapes, tmp_path):
    halves = [dict(list(arrays.items())[n::2]) for n in (0, 1)]
    stem = {"safetensors": "model", "bin": "pytorch_model"}[kind]
    index = {}
    for number, part in enumerate(halves, 1):
        name = f"{stem}-0000{number}-of-00002.{kind}"
        index |= dict.fromkeys(part, name)
        content = archive(plain(part)) if kind == "bin" else _as_safetensors(part)
        (tmp_path / name).write_bytes(content)
    path = tmp_path / f"{stem}.{kind}.index.json"
    path.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": index}))
    source = str(path if give == "index" else tmp_path)
    found = fit_weights(read_source(source), "resnet18", OPTIONS, shapes)
    for key, array in flatten_dict(variables).items():
        np.testing.assert_array_equal(found.arrays[key], array)
    (tmp_path / name).unlink()
    with pytest.raises(UserError, match=f"2 files, of which 1 are missing: copy {name} beside it"):
        read_source(source)


def _as_safetensors(arrays):
    return safetensors({k: ("F32" if x.dtype == np.float32 else "I64", x.shape, x.tobytes())
                        for k, x in arrays.items()})  # fmt: skip


def _flip(content, at):
    content = bytearray(content)
    content[at] ^= 0xFF
    return bytes(content)


def _header(text):
    return struct.pack("<Q", len(text)) + text


def _one(arrays, value):
    """A state dict with one other tensor."""
    return archive({**{k: tensor(x) for k, x in arrays.items()}, "conv1.weight": value})


def _bad_view(arrays, offset, shape, strides):
    storage = Block("0", arrays["conv1.weight"])
    return _one(arrays, Call(Global("torch._utils", "_rebuild_tensor_v2"),
                             (storage, offset, shape, strides, False, {})))  # fmt: skip


SHAPE = (2, 3, 7, 7)
REFUSED = {
    "empty": ("a.pth", lambda d: b"", "is empty"),
    "text": ("a.pth", lambda d: b"hello\nworld", "is text, which begins with 'hello world'"),
    "text, safetensors": ("a.safetensors", lambda d: b"hello, what a file", "is damaged or"),
    "a page": ("a.pth", lambda d: b"<!DOCTYPE html><html>404", "is a web page and not the weights"),
    "a page without a type": (
        "a.bin",
        lambda d: b"\n <html>\n",
        "is a web page and not the weights",
    ),
    "an answer": ("a.pth", lambda d: b'{"error": "not found"}', "is text, which begins with"),
    "a pointer of Git LFS": (
        "a.safetensors",
        lambda d: b"version https://git-lfs.github.com/spec/v1",
        "is a pointer of Git LFS",
    ),
    "Keras": ("a.bin", lambda d: b"\x89HDF\r\n\x1a\n" + bytes(99), "is HDF5, as Keras"),
    "gzip": ("a.pth", lambda d: b"\x1f\x8b\x08" + bytes(99), "is compressed: unpack it"),
    "tar": ("a.tar", lambda d: bytes(1) * 257 + b"ustar\x0000" + bytes(300), "is a tar archive"),
    "NumPy": ("a.pth", lambda d: b"\x93NUMPY\x01\x00" + bytes(99), "is an array of NumPy"),
    "bytes": ("a.pth", lambda d: bytes(range(200, 256)) * 9, "is of no known format"),
    "zip of pictures": (
        "a.pth",
        lambda d: archive({}, drop=["data.pkl"]),
        "is an archive of archive/byteorder, archive/version",
    ),
    "zip, cut off": (
        "a.pth",
        lambda d: archive(plain(d))[:1000],
        "is damaged or incomplete: its arch",
    ),
    "zip, a byte changed": (
        "a.pth",
        lambda d: _flip(archive(plain(d)), 0x1100),
        "is damaged or incom",
    ),
    "zip, a storage missing": (
        "a.pth",
        lambda d: archive(
            {"a": tensor(d["conv1.weight"], Block("7", d["conv1.weight"]))}, drop=["data/7"]
        ),
        "its record data/7 is missing",
    ),
    "zip, a storage too short": (
        "a.pth",
        lambda d: archive(
            {"a": tensor(d["conv1.weight"], Block("7", d["conv1.weight"]))},
            records={"data/7": b"12"},
        ),
        "its record data/7 has 2 bytes of 1176",
    ),
    "zip, pickle cut off": (
        "a.pth",
        lambda d: archive(plain(d), records={"data.pkl": b"\x80\x02}q"}),
        "its pickle cannot be read",
    ),
    "zip, pickle empty": (
        "a.pth",
        lambda d: archive(plain(d), records={"data.pkl": b""}),
        "its pickle cannot be read",
    ),
    "old format, cut off": ("a.pth", lambda d: pickles(plain(d))[:-9], "it ends 9 bytes too early"),
    "old format, cut early": (
        "a.pth",
        lambda d: pickles(plain(d))[:60],
        "its pickle cannot be read",
    ),
    "pickle of a program": (
        "a.pth",
        lambda d: pickles(plain(d), magic=17),
        "is a pickle, and not one",
    ),
    "view past the end": (
        "a.pth",
        lambda d: _bad_view(d, 1, SHAPE, (147, 49, 7, 1)),
        "reaches past the",
    ),
    "negative strides": (
        "a.pth",
        lambda d: _bad_view(d, 293, SHAPE, (-147, -49, -7, -1)),
        "has no proper shape",
    ),
    "shape and strides differ": (
        "a.pth",
        lambda d: _bad_view(d, 0, SHAPE, (1,)),
        "has no proper shape",
    ),
    "endless repetition": (
        "a.pth",
        lambda d: _bad_view(d, 0, (2**40,), (0,)),
        "reaches past the end",
    ),
    "a shape of words": ("a.pth", lambda d: _bad_view(d, 0, ("a",), (1,)), "has no proper shape"),
    "sparse": (
        "a.pth",
        lambda d: _one(
            d,
            Call(
                Global("torch._utils", "_rebuild_sparse_tensor"),
                (0, (tensor(np.zeros((4, 1), "i8")), tensor(np.ones(1, "f4")), SHAPE, True)),
            ),
        ),
        "has conv1.weight, which is a sparse tensor: save the weights as plain",
    ),
    "quantised": (
        "a.pth",
        lambda d: _one(
            d,
            Call(
                Global("torch._utils", "_rebuild_qtensor"),
                (
                    Block("0", d["conv1.weight"].astype("i1"), "QInt8Storage"),
                    0,
                    SHAPE,
                    (147, 49, 7, 1),
                    (Global("torch", "per_tensor_affine"), 0.1, 0),
                    False,
                    {},
                ),
            ),
        ),
        "which is quantised \\(qint8\\)",
    ),
    "float8": (
        "a.pth",
        lambda d: _one(d, files.new_style(d["conv1.weight"].astype("i1"), "float8_e5m2")),
        "which is stored as float8_e5m2, whose scales",
    ),
    "float8, safetensors": (
        "a.safetensors",
        lambda d: safetensors({k: ("F8_E4M3", x.shape, bytes(x.size)) for k, x in d.items()}),
        "which is stored as f8_e4m3",
    ),
    "complex": (
        "a.pth",
        lambda d: _one(d, tensor(d["conv1.weight"].astype("c8"))),
        "of type complex64",
    ),
    "meta": (
        "a.pth",
        lambda d: _one(
            d,
            Call(
                Global("torch._utils", "_rebuild_meta_tensor_no_storage"),
                (Global("torch", "float32"), SHAPE, (147, 49, 7, 1), False),
            ),
        ),
        "is on the meta device",
    ),
    "nested": (
        "a.pth",
        lambda d: _one(d, Call(Global("torch._utils", "_rebuild_nested_tensor"), (1, 2, 3, 4))),
        "conv1.weight.*nested tensor",
    ),
    "whole numbers": (
        "a.pth",
        lambda d: archive(plain(d | {"fc.bias": np.arange(10, dtype="i4")})),
        "of whole numbers: fc.bias is int32",
    ),
    "diverged": (
        "a.pth",
        lambda d: archive(plain(d | {"fc.bias": np.full(10, np.nan, "f4")})),
        "values that are not finite in fc.bias",
    ),
    "no tensors": (
        "a.pth",
        lambda d: archive({"epoch": 3, "lr": 0.1}),
        "no tensors but the keys epoch, lr",
    ),
    "an empty dictionary": ("a.pth", lambda d: archive({}), "no tensors but an empty dictionary"),
    "a list": ("a.pth", lambda d: archive([1, 2]), "no tensors but an object of the type list"),
    "an object": ("a.pth", lambda d: archive(NAMESPACE), "of the type argparse.Namespace"),
    "an optimizer alone": (
        "a.pth",
        lambda d: archive({"optimizer": optimizer(d)}),
        "has none of the tensors that torchvision or timm names in resnet18",
    ),
    "a set of itself": (
        "a.pth",
        lambda d: archive({}, records={"data.pkl": b"\x80\x02]q\x00h\x00a."}),
        "holds no tensors",
    ),
    "several sets": (
        "a.pth",
        lambda d: archive({"model": plain(d), "model_ema": plain(d)}),
        r"several sets of weights of resnet18, model, model_ema: say which, e.g. "
        r"'\S*a.pth#model_ema'",
    ),
    "student and teacher": (
        "a.pth",
        lambda d: archive({"student": plain(renamed(d, "module.")), "teacher": plain(headless(d))}),
        "student, teacher: say",
    ),
    "both encoders": (
        "a.pth",
        lambda d: archive(plain(renamed(d, "module.encoder_q.") | renamed(d, "module.encoder_k."))),
        "encoder_q, encoder_k: say",
    ),
    "a set that is not there": (
        "a.pth#ema",
        lambda d: archive({"model": plain(d)}),
        "has no weights of resnet18 under 'ema'; it has them under model",
    ),
    "another network": (
        "a.pth",
        lambda d: archive(plain(d | {"layer3.0.conv1.weight": np.ones(2, "f4")})),
        "unexpected: layer3.0.conv1.weight",
    ),
    "a layer missing": (
        "a.pth",
        lambda d: archive(plain(without(d, "layer2.0.bn1.bias"))),
        "missing: layer2.0.bn1.bias",
    ),
    "another width": (
        "a.pth",
        lambda d: archive(plain(d | {"bn1.bias": np.ones(9, "f4")})),
        r"bn1.bias is \(9,\), not \(2,\)",
    ),
    "escapes in keys": (
        "a.pth",
        lambda d: archive(plain(d | {"\x1b[31mred": np.ones(2, "f4")})),
        r"unexpected: \\x1b\[31mred",
    ),
    "safetensors, cut off": (
        "a.safetensors",
        lambda d: _as_safetensors(d)[:-9],
        "is damaged or incomplete",
    ),
    "safetensors, header cut off": (
        "a.safetensors",
        lambda d: _as_safetensors(d)[:60],
        "has 60 bytes, and its header alone",
    ),
    "safetensors, no JSON": (
        "a.safetensors",
        lambda d: _header(b"{" * 40),
        "cannot be read as safetensors",
    ),
    "safetensors, other bytes": (
        "a.safetensors",
        lambda d: _header(b"{\xff\xfe\x80}"),
        "cannot be read as",
    ),
    "safetensors, header of a list": (
        "a.safetensors",
        lambda d: _header(b'{"a": [1, 2]}'),
        "cannot be read",
    ),
    "safetensors, offsets": (
        "a.safetensors",
        lambda d: _header(b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,800]}}') + bytes(8),
        "cannot be read as",
    ),
    "safetensors, arguments": (
        "a.safetensors",
        lambda d: safetensors(
            {"a": ("F32", (1,), bytes(4))}, {"architecture": "timm/resnet18", "arguments": "{"}
        ),
        "must have 'arguments' as a JSON object",
    ),
    "safetensors, arguments of a list": (
        "a.safetensors",
        lambda d: safetensors(
            {"a": ("F32", (1,), bytes(4))}, {"architecture": "timm/resnet18", "arguments": "[1]"}
        ),
        "must have 'arguments' as a JSON object",
    ),
    "safetensors, other network": (
        "a.safetensors",
        lambda d: safetensors({"a": ("F32", (1,), bytes(4))}, {"architecture": "timm/resnet19"}),
        "Did you mean 'resnet18'",
    ),
    "index, no JSON": ("model.safetensors.index.json", lambda d: b"{", "is no index of weights"),
    "index, a list": ("model.safetensors.index.json", lambda d: b"[]", "is no index of weights"),
    "index, numbers": (
        "model.bin.index.json",
        lambda d: b'{"weight_map": {"a": 1}}',
        "is no index of",
    ),
    "index, elsewhere": (
        "model.bin.index.json",
        lambda d: b'{"weight_map": {"a": "../b.bin"}}',
        "names files outside its folder",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_file_is_refused_in_a_sentence(case, arrays, shapes, tmp_path):
    name, make, sentence = REFUSED[case]
    file, sign, entry = name.partition("#")
    (tmp_path / file).write_bytes(make(arrays))
    with pytest.raises(UserError, match=sentence) as error:
        fit_weights(read_source(f"{tmp_path / file}{sign}{entry}"), "resnet18", OPTIONS, shapes)
    assert str(error.value).isprintable()
    assert len(str(error.value).replace(str(tmp_path), "")) < 400


@pytest.mark.parametrize("kind", ["archive", "pickle of an archive", "pickles", "safetensors"])
def test_files_of_random_damage_are_read_or_refused(kind, arrays, shapes, tmp_path):
    """Bytes are changed, left out and put in: no other error than a sentence."""
    tree = {"state_dict": plain(arrays), "args": NAMESPACE}
    whole = {"pickles": pickles(tree), "safetensors": _as_safetensors(arrays)}.get(
        kind, archive(tree)
    )
    with zipfile.ZipFile(io.BytesIO(archive(tree))) as file:
        pickled = file.read("archive/data.pkl")
    rng = np.random.default_rng(len(kind))
    path, refused = tmp_path / "a.bin", 0
    for _ in range(40):
        content = bytearray(pickled if kind == "pickle of an archive" else whole)
        for _ in range(2):
            at, count = rng.integers(min(len(content), 4000)), rng.integers(9)
            content[at : at + rng.integers(9)] = rng.bytes(count)
        if kind == "pickle of an archive":
            content = archive(tree, records={"data.pkl": bytes(content)})
        path.write_bytes(content)
        try:
            fit_weights(read_source(str(path)), "resnet18", OPTIONS, shapes)
        except UserError as error:
            refused += 1
            assert str(error).isprintable()
    assert refused > 20


RAN = []


def _attack(module, name, *arguments):
    return Call(Global(module, name), arguments)


MALICIOUS = {
    "os.system": _attack("os", "system", "touch {0}"),
    "posix.system": _attack("posix", "system", "touch {0}"),
    "nt.system": _attack("nt", "system", "touch {0}"),
    "subprocess.Popen": _attack("subprocess", "Popen", ["touch", "{0}"]),
    "eval": _attack("builtins", "eval", "open('{0}', 'w')"),
    "exec of Python 2": _attack("__builtin__", "exec", "open('{0}', 'w')"),
    "open": _attack("builtins", "open", "{0}", "w"),
    "io.open": _attack("io", "open", "{0}", "w"),
    "runpy": _attack("runpy", "_run_code", "open('{0}', 'w')", {}),
    "importlib": _attack("importlib", "import_module", "antigravity"),
    "pickle in a pickle": _attack("pickle", "loads", b"cposix\nsystem\n(S'touch {0}'\ntR."),
    "webbrowser": _attack("webbrowser", "open", "http://localhost"),
}


@pytest.mark.parametrize("write", [archive, pickles])
@pytest.mark.parametrize("case", MALICIOUS)
def test_malicious_pickles_run_nothing_and_are_named(case, write, tmp_path):
    call = MALICIOUS[case]
    marker = tmp_path / "marker"
    arguments = tuple(
        x.replace("{0}", str(marker)) if isinstance(x, str) else x for x in call.arguments
    )
    path = tmp_path / "a.pth"
    path.write_bytes(write({"state_dict": {}, "x": Call(call.function, arguments)}))
    with pytest.raises(UserError, match=f"asks to call {'.'.join(call.function)} when it is read"):
        read_source(str(path))
    assert not marker.exists()


def test_functions_of_others_are_never_called(arrays, variables, shapes, tmp_path):
    """What is on no list runs nothing either; a file that has it beside its weights is read."""
    here = Global(__name__, "_called")
    class_here = Global(__name__, "Called")
    tree = {
        "state_dict": plain(arrays),
        "call": Call(here, (1,)),
        "class": Call(class_here, (1,), {"state": 1}),
        "call of a result": Call(Call(Global("builtins", "getattr"), (class_here, "method")), ()),
        "import": Call(Global("antigravity", "fly"), ()),
    }
    (tmp_path / "a.pth").write_bytes(archive(tree))
    found = fit_weights(read_source(str(tmp_path / "a.pth")), "resnet18", OPTIONS, shapes)
    np.testing.assert_array_equal(
        found.arrays["params", "head", "logits", "bias"],
        variables["params"]["head"]["logits"]["bias"],
    )
    assert RAN == []


def _called(*args):
    RAN.append(args)


class Called:
    """What a file asks to make."""

    def __init__(self, *args):
        RAN.append(args)

    def __setstate__(self, state):
        RAN.append(state)

    @staticmethod
    def method(*args):
        RAN.append(args)


def test_a_pickle_changes_none_of_our_own_functions(tmp_path):
    """`BUILD` sets attributes of whatever it is given."""
    from cnnlab.pretrained.files import unpickler

    before = {name: dict(vars(value)) for name, value in vars(unpickler).items()
              if getattr(value, "__module__", None) == unpickler.__name__}  # fmt: skip
    for name in ("torch._utils _rebuild_qtensor", "torch Size", "torch float32",
                 "collections OrderedDict", "my Module"):  # fmt: skip
        module, _, attribute = name.partition(" ")
        data = f"\x80\x02c{module}\n{attribute}\n".encode("latin1") + b"}X\x01\x00\x00\x00xK\x01sb."
        (tmp_path / "a.pth").write_bytes(archive({}, records={"data.pkl": data}))
        with pytest.raises(UserError):
            read_source(str(tmp_path / "a.pth"))
    assert before == {name: dict(vars(getattr(unpickler, name))) for name in before}


def test_what_is_no_file(tmp_path):
    import os

    os.mkfifo(tmp_path / "a.pth")
    with pytest.raises(UserError, match="no regular file"):
        read_source(str(tmp_path / "a.pth"))
    with pytest.raises(UserError, match="There is no file"):
        read_source(str(tmp_path / "b.PTH"))
    with pytest.raises(UserError, match="is a folder, and no file of weights"):
        read_source(str(tmp_path))
