"""V-Net against MONAI's, weight by weight."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.errors import UserError
from cnnlab.models import create_model

STAGES = ("in_tr", "down_tr32", "down_tr64", "down_tr128", "down_tr256")
UPS = {4: "up_tr256", 3: "up_tr128", 2: "up_tr64", 1: "up_tr32"}


def variables_of(peer):
    """The peer's weights under this network's names."""
    tensors = {name: value.detach().numpy() for name, value in peer.state_dict().items()}

    def conv(name):
        weight = tensors[f"{name}.weight"]
        kernel = np.moveaxis(weight, (0, 1), (-1, -2))
        bias = {"bias": tensors[f"{name}.bias"]} if f"{name}.bias" in tensors else {}
        return {"kernel": kernel, **bias}

    def norm(name):
        return {"scale": tensors[f"{name}.weight"], "bias": tensors[f"{name}.bias"]}, {
            "mean": tensors[f"{name}.running_mean"],
            "var": tensors[f"{name}.running_var"],
        }

    def unit(conv_name, norm_name):
        affine, statistics = norm(norm_name)
        return {"conv": conv(conv_name), "norm": affine}, {"norm": statistics}

    def stage(prefix):
        numbers = {int(n.split(".")[2]) for n in tensors if n.startswith(f"{prefix}.ops.")}
        units = {
            f"conv{i + 1}": unit(f"{p}.conv", f"{p}.adn.N")
            for i in sorted(numbers)
            for p in [f"{prefix}.ops.{i}.conv_block"]
        }
        return {k: u[0] for k, u in units.items()}, {k: u[1] for k, u in units.items()}

    backbone = {"stage1_conv1": unit("in_tr.conv_block.conv", "in_tr.conv_block.adn.N")}
    for number, name in enumerate(STAGES[1:], start=2):
        backbone[f"down{number}"] = unit(f"{name}.down_conv", f"{name}.bn1")
        backbone[f"stage{number}"] = stage(name)
    head = {"last": unit("out_tr.conv_block.conv", "out_tr.conv_block.adn.N")}
    for number, name in UPS.items():
        weights = conv(f"{name}.up_conv")
        # Of a transposed convolution the peer's first axis is of inputs.
        weights["kernel"] = weights["kernel"].swapaxes(-1, -2)
        head[f"up{number}"] = (weights, {})
        head[f"up{number}_norm"] = norm(f"{name}.bn1")
        head[f"stage{number}"] = stage(name)
    head["logits"] = (conv("out_tr.conv2"), {})
    parts = {"backbone": backbone, "head": head}
    params = {p: {k: v[0] for k, v in part.items()} for p, part in parts.items()}
    statistics = {p: {k: v[1] for k, v in part.items() if v[1]} for p, part in parts.items()}
    return jax.tree.map(jnp.asarray, {"params": params, "batch_stats": statistics})


@pytest.mark.peer
@pytest.mark.parametrize(("name", "dims", "channels"), [("vnet_2d", 2, 2), ("vnet", 3, 1)])
def test_logits_are_those_of_monai(name, dims, channels):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    nets = pytest.importorskip("monai.networks.nets", reason="MONAI is not installed")
    torch.manual_seed(0)
    peer = nets.VNet(spatial_dims=dims, in_channels=channels, out_channels=3).eval()
    for module in peer.modules():
        if isinstance(module, (torch.nn.BatchNorm2d, torch.nn.BatchNorm3d)):
            torch.nn.init.uniform_(module.running_mean, -0.3, 0.3)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
            torch.nn.init.uniform_(module.weight, 0.7, 1.3)
            torch.nn.init.uniform_(module.bias, -0.3, 0.3)
        elif hasattr(module, "weight"):
            torch.nn.init.kaiming_normal_(module.weight)
    images = np.random.default_rng(0).normal(size=(1, *[16] * dims, channels)).astype("float32")
    with torch.no_grad():
        expected = np.moveaxis(peer(torch.from_numpy(np.moveaxis(images, -1, 1))).numpy(), 1, -1)
    model = create_model(name, num_classes=3)
    variables = variables_of(peer)
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), images, train=False))
    assert jax.tree.map(jnp.shape, variables) == jax.tree.map(jnp.shape, shapes)
    logits = jax.jit(lambda v, x: model.apply(v, x, train=False))(variables, images)
    assert np.abs(expected).max() > 1
    np.testing.assert_allclose(logits, expected, atol=1e-4 * np.abs(expected).max())


def test_stages_that_do_not_fit_are_one_sentence():
    for options in ({"stage_sizes": (2, 1)}, {"up_sizes": (1,)}, {"spatial_dims": 4}):
        with pytest.raises(UserError, match=r"model\.options"):
            create_model("vnet", num_classes=2, **options)
