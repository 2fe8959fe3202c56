"""Swin-Unet: shapes of the levels, a block equal to MONAI's, inconsistent options."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.errors import UserError
from cnnlab.models import create_model
from cnnlab.nn.attention.swin_block import SwinBlock


@pytest.mark.parametrize(
    ("size", "sides"),
    [((224, 224), [(56, 56), (28, 28), (14, 14), (7, 7)]), ((33, 64), [(16, 16)])],
)
def test_levels_halve_and_odd_images_are_padded(size, sides):
    model = create_model("swin_unet", num_classes=9)
    image = jax.ShapeDtypeStruct((1, *size, 3), jnp.float32)
    variables = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), image)
    maps = jax.eval_shape(lambda v, x: model.apply(v, x, method="features"), variables, image)
    assert [x.shape[3] for x in maps] == [96, 192, 384, 768, 768]
    assert [x.shape[1:3] for x in maps][: len(sides)] == sides
    bias = variables["params"]["backbone"]["level1_block1"]["attention"]["position_bias"]
    assert bias.shape == (169, 3)


@pytest.mark.parametrize(
    ("options", "named"), [({"heads": (3, 6)}, "depths"), ({"width": 20}, "does not divide 20")]
)
def test_inconsistent_options_are_one_sentence(options, named):
    with pytest.raises(UserError, match=named):
        create_model("swin_unet", num_classes=2, **options)


@pytest.mark.peer
@pytest.mark.parametrize("shift", [0, 1])
def test_a_block_is_that_of_monai(shift):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    swin = pytest.importorskip("monai.networks.nets.swin_unetr", reason="MONAI is not installed")
    torch.manual_seed(0)
    channels, heads, window = 8, 2, 3
    peer = swin.SwinTransformerBlock(channels, heads, (window, window), (shift, shift)).eval()
    for parameter in peer.parameters():
        torch.nn.init.normal_(parameter, 0.1, 0.5)
    x = np.random.default_rng(0).normal(size=(2, 6, 9, channels)).astype("float32")
    with torch.no_grad():
        mask = swin.compute_mask([6, 9], (window, window), (shift, shift), "cpu") if shift else None
        expected = peer(torch.from_numpy(x), mask).numpy()
    weights = {name: value.numpy() for name, value in peer.state_dict().items()}

    def dense(name):
        return {"kernel": weights[f"{name}.weight"].T, "bias": weights[f"{name}.bias"]}

    def norm(name):
        return {"scale": weights[f"{name}.weight"], "bias": weights[f"{name}.bias"]}

    attention = {"qkv": dense("attn.qkv"), "out": dense("attn.proj")}
    attention["position_bias"] = weights["attn.relative_position_bias_table"]
    params = {
        "attention": attention,
        "attention_norm": norm("norm1"),
        "mlp": {"expand": dense("mlp.linear1"), "project": dense("mlp.linear2")},
        "mlp_norm": norm("norm2"),
    }
    block = SwinBlock(heads, window, shift, 4, partial(nn.Dropout, 0.0, deterministic=True))
    np.testing.assert_allclose(block.apply({"params": params}, x), expected, atol=1e-4)
