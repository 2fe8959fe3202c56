"""MISSFormer: tokens of all levels in the bridge, maps of any size, inconsistent options."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.errors import UserError
from cnnlab.models import create_model
from cnnlab.models.segmentation.transformer.missformer import (
    BridgeLayer,
    ReducedAttention,
    join_tokens,
    split_tokens,
)
from tests.pretrained.peer_networks import libraries


def test_a_position_with_more_channels_is_several_tokens():
    fine = jnp.arange(12.0).reshape(1, 3, 2, 2)
    coarse = 100.0 + jnp.arange(8.0).reshape(1, 2, 1, 4)
    tokens = join_tokens([fine, coarse], 2)
    assert tokens.shape == (1, 6 + 4, 2)
    np.testing.assert_array_equal(tokens[0, 6:], [[100, 101], [102, 103], [104, 105], [106, 107]])
    for joined, level in zip(
        split_tokens(tokens, [fine.shape, coarse.shape]), (fine, coarse), strict=True
    ):
        np.testing.assert_array_equal(joined, level)


def test_tokens_of_the_bridge_at_224_pixels_are_those_of_the_paper():
    levels = [
        jax.ShapeDtypeStruct((1, side, side, width), jnp.float32)
        for side, width in ((56, 64), (28, 128), (14, 320), (7, 512))
    ]
    assert jax.eval_shape(lambda x: join_tokens(x, 64), levels).shape == (1, 6076, 64)
    results, variables = jax.eval_shape(
        lambda x: BridgeLayer(64).init_with_output(jax.random.key(0), x), levels
    )
    assert [y.shape for y in results] == [x.shape for x in levels]
    kernels = [variables["params"][f"reduce{n}"]["kernel"].shape for n in (1, 2, 3)]
    assert kernels == [(8, 8, 64, 64), (4, 4, 128, 128), (2, 2, 320, 320)]


def test_reduced_attention_takes_maps_that_squares_do_not_divide(rng):
    x = jax.random.normal(rng, (1, 3, 5, 4))
    y, variables = jax.eval_shape(ReducedAttention(2, 2).init_with_output, rng, x)
    assert y.shape == x.shape
    assert variables["params"]["reduce"]["kernel"].shape == (2, 2, 4, 4)


def test_the_bridge_carries_from_each_level_to_all(rng):
    levels = [jax.random.normal(rng, (1, 4, 4, 4)), jax.random.normal(rng, (1, 2, 2, 8))]
    layer = BridgeLayer(4)
    variables = jax.jit(layer.init)(rng, levels)
    apply = jax.jit(layer.apply)
    before = apply(variables, levels)
    after = apply(variables, [levels[0].at[0, 3, 3, 0].add(1.0), levels[1]])
    assert all(np.abs(b - a)[0, 0, 0].max() > 0 for b, a in zip(before, after, strict=True))


@pytest.mark.parametrize(
    ("options", "named"),
    [({"heads": (1, 2, 5)}, "one number"), ({"widths": (64, 128, 320, 500)}, "500 is not")],
)
def test_inconsistent_options_are_one_sentence(options, named):
    with pytest.raises(UserError, match=named):
        create_model("missformer", num_classes=2, **options)


@pytest.mark.peer
@pytest.mark.parametrize("reduction", [1, 2])
def test_reduced_attention_is_that_of_segformer(reduction):
    torch, *_ = libraries()
    mix = pytest.importorskip("segmentation_models_pytorch.encoders.mix_transformer")
    torch.manual_seed(0)
    channels, heads = 8, 2
    peer = mix.Attention(channels, heads, qkv_bias=True, sr_ratio=reduction).eval()
    for parameter in peer.parameters():
        torch.nn.init.normal_(parameter, 0.1, 0.5)
    x = np.random.default_rng(0).normal(size=(2, 4, 6, channels)).astype("float32")
    with torch.no_grad():
        expected = peer(torch.from_numpy(x.reshape(2, 24, channels)), 4, 6).numpy()
    weights = {name: value.numpy() for name, value in peer.state_dict().items()}
    split = (heads, channels // heads)

    def project(name, at):
        return {
            "kernel": weights[f"{name}.weight"].T[:, at].reshape(channels, *split),
            "bias": weights[f"{name}.bias"][at].reshape(split),
        }

    params = {
        "attention": {
            "query": project("q", slice(None)),
            "key": project("kv", slice(channels)),
            "value": project("kv", slice(channels, None)),
            "out": {
                "kernel": weights["proj.weight"].T.reshape(*split, channels),
                "bias": weights["proj.bias"],
            },
        }
    }
    if reduction > 1:
        kernel = weights["sr.weight"].transpose(2, 3, 1, 0)
        params["reduce"] = {"kernel": kernel, "bias": weights["sr.bias"]}
        params["norm"] = {"scale": weights["norm.weight"], "bias": weights["norm.bias"]}
    y = ReducedAttention(heads, reduction).apply({"params": params}, x)
    np.testing.assert_allclose(y.reshape(expected.shape), expected, atol=1e-4)
