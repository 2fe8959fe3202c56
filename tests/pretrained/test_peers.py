"""Every classifier that torchvision or timm has: equal logits, and weights that come back."""

import re
from collections import OrderedDict
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.models import create_model, list_models, model_options, model_task
from cnnlab.nn.attention.position_embedding import resize_embedding
from cnnlab.pretrained.convert import COUNTER, constants_of, named_tensors, state_dict
from cnnlab.pretrained.loading import fit_weights
from cnnlab.pretrained.peer import ReferenceModel
from cnnlab.pretrained.peers import LIBRARIES, PEERS, peers_of, why_no_peer
from cnnlab.pretrained.sources import Weights
from tests.conftest import assert_trees_equal
from tests.pretrained.peer_networks import (
    arrays_of,
    build,
    libraries,
    logits_of,
    narrow_vgg,
    randomise,
)

TOLERANCE = 1e-4
NETWORKS = [
    peer
    for peer in PEERS
    if peer.library in LIBRARIES and model_task(peer.architecture) == "classification"
]
# One compiled network of ours serves all that it must be equal to.
GROUPS = {}
for peer in NETWORKS:
    GROUPS.setdefault((peer.architecture, str(peer.options)), []).append(peer)
# Height and width of the images, where 64 pixels are too few.
SIZES = {  # timm's Swin transformers equal ours where windows divide all maps
    **{name: 224 for name in list_models("swin_*")},
    **{name: 256 for name in list_models("swin*v2_*")},
    **{name: int(name[-3:]) for name in list_models("swin*") if name[-3:].isdigit()},
    "inception_v3": 107,
    "inception_v4": 107,
    "inception_resnet_v2": 107,
    "maxvit_t": 224,
    "ghostnetv2_100": 160,  # a gate is enlarged from two pixels to five
}
# Networks that differ from smaller ones of their family in sizes only: names and shapes of their
# tensors, and their logits, are compared by `pytest -m "peer and exhaustive"`.
LARGE = re.compile(
    "vgg(13|19).*|(wide_|se)?resnet(101|152).*|resnetv2_(101|152)|resnext(50d|101)_.*"
    "|resnet(14t|50t|34d|200d)|seresnet152d|seresnext101.*|ecaresnet(50|101d|200d|269d).*"
    "|xception(65|71).*|res2net(50_(14w_8s|26w_[68]s|48w_2s)|101.*)"
    "|res2net(50d|50_(14w_8s|26w_[68]s|48w_2s)|101.*)|resnest(26d|50d(_1s.*)?|101e|2.*)"
    "|hrnet_w(18|18_small_v2|18_ssld|[346].*)|dla(46x?_c|60x?|60_res2next|102.*|169)"
    "|densenet(161|169|201)|repvgg_(a[12]|b.*)|regnet_x_(1_6|3_2|8|16|32)gf"
    "|regnet_y_(3_2|8|16|32|128)gf|convnext_(small|base|large|femto|pico|nano)"
    "|convnextv2_(?!atto).*|efficientnet_(b[2-7]|v2_[ml])|tf_efficientnet_lite[1-4]"
    "|tf_efficientnetv2_b[1-3]|efficientnetv2_rw_.*"
    "|mnasnet(0_75|1_3)|mobilenetv2_(075|1[124]0d?)|mobilenetv1_1(25|00h)"
    "|mobilenetv4_conv_(small|small_050|(aa_)?(medium|large))|ghostnet(_1[03]0|v2_1[36]0)"
    "|edgenext_(x_small|small|base)"
    "|swin_(v2_)?[sb]|swin_(base|large)_.*|swinv2_(small|base|large)_.*"
    "|vit_[lh]_.*|vit_b_14_dinov2|vit_(base|large)_.*|deit_(small|base)_.*"
    "|deit3_[^s].*"
)


def test_every_model_has_a_peer_or_a_reason():
    for name in list_models():
        assert bool(peers_of(name)) != bool(why_no_peer(name)), (
            f"{name}: add it to PEERS or, with the reason, to WITHOUT_PEER"
        )


def shapes_of(model):
    size = max(64, model.min_size)
    image = jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32)
    return jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), image)


def compile_apply(model):
    return jax.jit(lambda v, x: model.apply(v, x, train=False))


def check_tensors(peer, shapes, network):
    """Asserts that all tensors of the two networks have the same names and shapes."""
    tensors = named_tensors(shapes, peer.namings[0])
    ours = {tensor.key: tensor.stored_shape for tensor in tensors}
    assert ours | {key: array.shape for key, array in constants_of(tensors).items()} == {
        key: tuple(value.shape)
        for key, value in network.state_dict().items()
        if not key.endswith(COUNTER)
    }


class Pair(NamedTuple):
    """The same weights in both networks, and their logits [batch, classes] of the same images."""

    peer: ReferenceModel
    network: Any  # the peer's, in PyTorch
    images: np.ndarray
    ours: np.ndarray
    theirs: np.ndarray

    @property
    def error(self):
        """The largest difference of the logits, as a share of the largest logit."""
        return float(np.abs(self.ours - self.theirs).max() / np.abs(self.theirs).max())

    @property
    def spread(self):
        """How far the logits of the two images are apart, as a share of the largest logit."""
        return float(np.abs(self.theirs[0] - self.theirs[1]).max() / np.abs(self.theirs).max())


def pairs(group, size=64, narrow=None):
    """Yields the pairs of a group; asserts that weights come through the round trip unchanged."""
    name, options = group[0].architecture, dict(group[0].options)
    full_shapes = shapes_of(create_model(name, num_classes=1000, **options))
    if narrow:
        options["hidden"] = (narrow, narrow)
    arguments = {}
    if name.startswith(("vit", "deit")):  # of four patches, with position embeddings of their own
        options["image_size"] = size = 4 * model_options(name)["patch_size"]
        arguments = {"torchvision": {"image_size": size}, "timm": {"img_size": size}}
    model = create_model(name, num_classes=1000, **options)
    apply, shapes = compile_apply(model), full_shapes
    if options != dict(group[0].options):
        shapes = shapes_of(model)
    images = np.random.default_rng(1).normal(size=(2, size, size, 3)).astype(np.float32)
    if name == "maxvit_t":  # it averages so much that one noise is as another
        images[1] *= 4.0
    if name.startswith(("swin", "convnextv2")):
        # Norms level noise of any strength, so that colours are added.
        images += np.random.default_rng(2).normal(scale=3.0, size=(2, 1, 1, 3)).astype(np.float32)
    stored, variables, ours = None, None, None
    for peer in group:
        network = build(peer.library, peer.name)
        check_tensors(peer, full_shapes, network)
        if narrow:
            narrow_vgg(network, narrow)
        if arguments:
            network = build(peer.library, peer.name, **arguments[peer.library])
        tensors = named_tensors(shapes, peer.namings[0])
        if variables is None:
            randomise(network, seed=seed_of(name), size=size)
        else:  # the weights of the first, under its names: exported as a user would
            load_back(network, state_dict(variables, tensors))
            network.eval()
        stored = arrays_of(network)
        # Keys and shapes alone do not tell all networks apart.
        weights = Weights(stored, str(peer), None, hints=(peer.name,))
        found = fit_weights(weights, name, options, shapes)
        assert not found.new
        assert not found.adapted
        assert not found.resized
        if variables is None:
            variables = found.merge(shapes)
            ours = np.asarray(apply(variables, images))
        else:
            assert_trees_equal(found.merge(shapes), variables)
        yield Pair(peer, network, images, ours, logits_of(network, images))
        back = state_dict(variables, tensors)
        assert back.keys() == stored.keys()
        for key, array in back.items():
            assert array.dtype == stored[key].dtype, key
            assert np.array_equal(array, stored[key]), key
        load_back(network, back)


def seed_of(name):
    """Seed of the random weights of an architecture."""
    return len(name)


def check(group, record_property, size=64, narrow=None):
    """Asserts equal logits and the identity of the round trip, for all networks of a group."""
    for pair in pairs(group, size, narrow):
        label = f"{pair.peer} at {pair.images.shape[1]}"
        record_property(label, pair.error)
        print(f"{label}: {pair.error:.1e}, spread {pair.spread:.2g}")
        assert pair.spread > 0.02, "blind: the logits hardly depend on the image"
        assert pair.error < TOLERANCE


def load_back(network, arrays):
    """Loads arrays as a user would, with the version that torchvision's MNASNet asks of them."""
    tensors = OrderedDict(to_torch(arrays))
    tensors._metadata = network.state_dict()._metadata
    network.load_state_dict(tensors, strict=True, assign=True)


def to_torch(arrays):
    torch = libraries()[0]
    return {key: torch.from_numpy(array) for key, array in arrays.items()}


def ids(group):
    return "+".join(map(str, group))


@pytest.mark.peer
@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "group", [g for g in GROUPS.values() if LARGE.fullmatch(g[0].architecture)], ids=ids
)
def test_large_networks_have_the_same_tensors(group):
    model = create_model(group[0].architecture, num_classes=1000, **group[0].options)
    for peer in group:
        check_tensors(peer, shapes_of(model), build(peer.library, peer.name))


def _marks(group):
    return pytest.mark.exhaustive if LARGE.fullmatch(group[0].architecture) else ()


@pytest.mark.peer
@pytest.mark.parametrize(
    "group", [pytest.param(g, marks=_marks(g)) for g in GROUPS.values()], ids=ids
)
def test_equal_logits_and_round_trip(group, record_property):
    name = group[0].architecture
    narrow = 64 if name.startswith("vgg") else None
    check(group, record_property, size=SIZES.get(name, 64), narrow=narrow)


@pytest.mark.peer
@pytest.mark.parametrize("name", ["alexnet", "vgg11_bn", "googlenet"])
def test_equal_logits_at_the_size_of_training(name, record_property):
    """Where 224 pixels and 64 take other ways, in poolings; and VGG with all of its weights."""
    check(peers_of(name), record_property, size=224)


@pytest.mark.peer
def test_torchvisions_networks_are_here_under_the_same_names():
    """Segmentation networks are those of `PEERS`, for their encoders are options here."""
    models = libraries()[1].models
    there = set(models.list_models(module=models))
    segmentation = set(models.list_models(module=models.segmentation))
    peers = {peer.name for peer in PEERS if peer.library == "torchvision"}
    assert there <= set(list_models())
    assert there | segmentation <= peers


@pytest.mark.peer
@pytest.mark.parametrize("grid", [(3, 3), (11, 6)])
def test_position_embeddings_are_resized_as_in_timm(grid):
    """To fewer and to more patches, also in another shape; the tokens' own are kept."""
    torch, _, timm, _ = libraries()
    embedding = np.random.default_rng(0).normal(size=(1, 2 + 7 * 7, 5)).astype(np.float32)
    theirs = timm.layers.resample_abs_pos_embed(
        torch.from_numpy(embedding), list(grid), num_prefix_tokens=2
    )
    ours = resize_embedding(jnp.asarray(embedding), grid)
    np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-5)
