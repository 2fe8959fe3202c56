"""Every classifier that torchvision or timm has: equal logits, and weights that come back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.models import create_model, list_models, model_task
from cnnlab.pretrained.convert import COUNTER, named_tensors, state_dict
from cnnlab.pretrained.load import fit_weights
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


def test_every_model_has_a_peer_or_a_reason():
    for name in list_models():
        assert bool(peers_of(name)) != bool(why_no_peer(name)), (
            f"{name}: add it to PEERS or, with the reason, to WITHOUT_PEER"
        )


def shapes_of(model):
    image = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
    return jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), image)


def compile_apply(model):
    # Compiling takes most of the time, and each program runs a few times.
    compile_fast = {"xla_backend_optimization_level": 0}
    return jax.jit(lambda v, x: model.apply(v, x, train=False), compiler_options=compile_fast)


def check(group, record_property, size=64, narrow=None):
    """Asserts equal logits and the identity of the round trip, for all networks of a group."""
    name, options = group[0].architecture, dict(group[0].options)
    model = create_model(name, num_classes=1000, **options)
    full_shapes = shapes_of(model)
    if narrow:
        options["hidden"] = (narrow, narrow)
        model = create_model(name, num_classes=1000, **options)
    apply, shapes = compile_apply(model), shapes_of(model)
    images = np.random.default_rng(1).normal(size=(2, size, size, 3)).astype(np.float32)
    stored, variables, ours = None, None, None
    for peer in group:
        network = build(peer.library, peer.name)
        assert {
            tensor.key: tensor.stored_shape
            for tensor in named_tensors(full_shapes, peer.namings[0])
        } == {
            key: tuple(value.shape)
            for key, value in network.state_dict().items()
            if not key.endswith(COUNTER)
        }
        if narrow:
            narrow_vgg(network, narrow)
        tensors = named_tensors(shapes, peer.namings[0])
        if variables is None:
            randomise(network, seed=len(name), size=size)
        else:  # the weights of the first, under its names: exported as a user would
            network.load_state_dict(to_torch(state_dict(variables, tensors)), True, assign=True)
            network.eval()
        stored = arrays_of(network)
        found = fit_weights(Weights(stored, str(peer), None), name, options, shapes)
        assert not found.new
        assert not found.adapted
        if variables is None:
            variables = found.merge(shapes)
            ours = np.asarray(apply(variables, images))
        else:
            assert_trees_equal(found.merge(shapes), variables)
        theirs = logits_of(network, images)
        largest = np.abs(theirs).max()
        spread = np.abs(theirs[0] - theirs[1]).max() / largest
        assert spread > 0.02, "blind: the logits hardly depend on the image"
        error = float(np.abs(ours - theirs).max() / largest)
        record_property(f"{peer} at {size}", error)
        print(f"{peer} at {size}: {error:.1e} of {largest:.3g}, spread {spread:.2g}")
        assert error < TOLERANCE
        back = state_dict(variables, tensors)
        assert back.keys() == stored.keys()
        for key, array in back.items():
            assert array.dtype == stored[key].dtype, key
            assert np.array_equal(array, stored[key]), key
        network.load_state_dict(to_torch(back), strict=True, assign=True)


def to_torch(arrays):
    torch = libraries()[0]
    return {key: torch.from_numpy(array) for key, array in arrays.items()}


@pytest.mark.peer
@pytest.mark.parametrize("group", GROUPS.values(), ids=lambda group: "+".join(map(str, group)))
def test_equal_logits_and_round_trip(group, record_property):
    check(group, record_property, narrow=64 if group[0].architecture.startswith("vgg") else None)


@pytest.mark.peer
@pytest.mark.parametrize("name", ["alexnet", "vgg11_bn", "googlenet"])
def test_equal_logits_at_the_size_of_training(name, record_property):
    """Where 224 pixels and 64 take other ways, in poolings; and VGG with all of its weights."""
    check(peers_of(name), record_property, size=224)
