"""Segmentation networks of torchvision and segmentation_models_pytorch: equal logits, both ways."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.errors import UserError
from cnnlab.models import create_model
from cnnlab.models.catalog import model_family
from cnnlab.pretrained.arguments import arguments_of, misfits, with_arguments
from cnnlab.pretrained.convert import COUNTER, named_tensors, state_dict
from cnnlab.pretrained.loading import fit_weights, load
from cnnlab.pretrained.peers import PEERS, find_peer
from cnnlab.pretrained.sources import Weights
from tests.marks import exhaustive
from tests.pretrained.peer_networks import (
    arrays_of,
    build_segmenter,
    logits_of,
    randomise,
)
from tests.pretrained.test_peers import (
    TOLERANCE,
    Pair,
    compile_apply,
    seed_of,
    shapes_of,
    to_torch,
)

CLASSES = 3
SMP = [peer for peer in PEERS if peer.library == "smp" and peer.architecture != "dpt"]
DPT = [peer for peer in PEERS if peer.architecture == "dpt"]
ENCODERS = list(dict.fromkeys(peer.name.partition("-")[2] for peer in SMP))
# One encoder of each family.
FIRST = {model_family(dict(p.options)["encoder"]): p.name.partition("-")[2] for p in reversed(SMP)}
DECODERS = list(dict.fromkeys(peer.name.partition("-")[0] for peer in SMP))


class Case(NamedTuple):
    """A network, options of ours beside those that it needs, and the size of its images.

    Atrous pyramids need maps wider than their rates, for all values of their kernels to count.
    """

    library: str
    name: str
    options: dict = {}  # noqa: RUF012
    size: tuple[int, int] = (96, 64)

    def __str__(self):
        return "-".join([self.name, *(f"{k}={v}" for k, v in self.options.items())])

    @property
    def peer(self):
        return find_peer(self.library, self.name)


# Height and width of the images that give random batch statistics, where it is not 128: PAN halves
# a map with a 32nd of it three times, and a ViT of timm takes one size.
_RANDOM_SIZES = {"pan": 256, "dpt": 224}
NARROW = {"widths": (32, 24, 16, 16, 16)}
CASES = [
    Case("torchvision", "fcn_resnet50", {"aux": True}, (73, 50)),
    Case("torchvision", "fcn_resnet101", {}, (50, 41)),
    Case("torchvision", "deeplabv3_resnet50", {"aux": True}, (121, 58)),
    Case("torchvision", "deeplabv3_resnet101", {}, (50, 41)),
    Case("torchvision", "deeplabv3_mobilenet_v3_large", {}, (121, 58)),
    Case("torchvision", "lraspp_mobilenet_v3_large", {}, (121, 58)),
    Case("smp", "unet-resnet18"),
    Case("smp", "unet-resnet50", NARROW),
    Case("smp", "unet-resnet34", NARROW | {"attention": "scse"}),
    Case("smp", "unet-vgg16_bn"),
    Case("smp", "unet-mobilenet_v2"),
    Case("smp", "unet-densenet121", NARROW),
    Case("smp", "unet-efficientnet-b1", NARROW),
    Case("smp", "unet-timm-efficientnet-b0", NARROW),
    Case("smp", "linknet-timm-tf_efficientnet_lite1"),
    Case("smp", "linknet-se_resnet50"),
    Case("smp", "linknet-se_resnext50_32x4d"),
    Case("smp", "deeplabv3plus-se_resnet50", {"output_stride": 8, "rates": (1, 2, 3)}),
    Case("smp", "unetplusplus-resnet18"),
    Case("smp", "unetplusplus-vgg11", NARROW | {"attention": "scse"}),
    Case("smp", "linknet-resnet34"),
    Case("smp", "linknet-tu-regnety_004"),
    Case("smp", "manet-resnet18"),
    Case("smp", "fpn-resnet18"),
    Case("smp", "fpn-tu-seresnet18", {"pyramid_width": 64, "width": 32}),
    Case("smp", "pspnet-resnet18"),
    Case("smp", "pspnet-vgg11_bn", {"width": 64}),
    Case("smp", "deeplabv3-resnet18", {"output_stride": 16}, (256, 64)),
    Case("smp", "deeplabv3-mobilenet_v2", {"rates": (2, 3, 5), "width": 32}),
    Case("smp", "deeplabv3plus-resnet18", {}, (256, 64)),
    Case("smp", "deeplabv3plus-tu-seresnet18", {"output_stride": 8, "rates": (1, 2, 3)}),
    Case("smp", "deeplabv3plus-mobilenet_v2", {"width": 48}),
    Case("smp", "pan-resnet18", {}, (256, 192)),
    Case("smp", "pan-mobilenet_v2", {"output_stride": 32, "width": 16}, (256, 256)),
    Case("smp", "upernet-resnet18", {"width": 32}),
    Case("smp", "upernet-mit_b0", {"width": 32}),
    Case(
        "smp",
        "dpt-tu-vit_tiny_patch16_224",
        {"widths": (8, 16, 32, 32), "width": 16},
        (224, 224),
    ),
    Case("smp", "segformer-mit_b0"),
    Case("smp", "segformer-resnet18", {"width": 32}),
    *(
        Case("smp", f"{decoder}-tu-{encoder}", {}, (128, 96))
        for decoder, encoder in (
            ("segformer", "vgg11"),
            ("unet", "legacy_xception"),
            ("linknet", "res2net50_14w_8s"),
            ("linknet", "resnest14d"),
            ("linknet", "dla46_c"),
            ("linknet", "hrnet_w18_small"),
            ("linknet", "repvgg_a0"),
            ("segformer", "convnext_atto"),
            ("segformer", "edgenext_xx_small"),
            ("linknet", "mobilenetv1_100h"),
            ("linknet", "mobilenetv3_small_050"),
            ("linknet", "mobilenetv4_conv_small_035"),
            ("linknet", "tf_efficientnet_b0"),
            ("linknet", "tf_efficientnetv2_b0"),
            ("linknet", "mnasnet_100"),
            ("linknet", "mobilenetv2_035"),
        )
    ),
]
# Larger ones.
EXHAUSTIVE_CASES = [
    Case("smp", name, options, (128, 96))
    for name, options in (
        ("segformer-tu-inception_v3", {}),
        ("unet-tu-inception_v4", {}),
        ("segformer-tu-inception_resnet_v2", {}),
        ("deeplabv3plus-tu-xception41", {"output_stride": 8, "rates": (1, 2, 3)}),
        ("deeplabv3plus-tu-xception41p", {"output_stride": 8, "rates": (1, 2, 3)}),
    )
]


def made_alike(case):
    """Both networks, ours and theirs, the latter on no device."""
    peer, name = case.peer, case.peer.architecture
    options = {**peer.options, **case.options}
    assert not misfits(peer, name, options)
    arguments = arguments_of(peer, name, options)
    model = create_model(name, num_classes=CLASSES, **options)
    return model, options, build_segmenter(peer, CLASSES, **arguments), arguments


def pairs(case):
    """Yields the one pair of a case; asserts that its weights come through the round trip."""
    model, options, network, arguments = made_alike(case)
    shapes = shapes_of(model)
    size = _RANDOM_SIZES.get(case.peer.architecture, 128)
    network = randomise(network, seed=seed_of(case.name), size=size)
    stored = arrays_of(network)
    # As a file that says what it is of.
    peer = with_arguments(case.peer, arguments)
    found = fit_weights(Weights(stored, "it", peer), peer.architecture, options, shapes)
    assert not found.new
    assert not found.adapted
    variables = found.merge(shapes)

    images = np.random.default_rng(1).normal(size=(2, *case.size, 3)).astype(np.float32)
    ours, theirs = compile_apply(model)(variables, images), logits_of(network, images)
    assert ours.shape == theirs.shape == (2, *case.size, CLASSES)
    yield Pair(case.peer, network, images, np.asarray(ours), theirs)

    back = state_dict(variables, named_tensors(variables, peer.namings[0]))
    assert back.keys() == stored.keys()
    for key, array in back.items():
        assert array.dtype == stored[key].dtype, key
        assert np.array_equal(array, stored[key]), key
    network.load_state_dict(to_torch(back), strict=True, assign=True)


@pytest.mark.peer
@pytest.mark.parametrize("case", [*CASES, *map(exhaustive, EXHAUSTIVE_CASES)], ids=str)
def test_equal_logits_and_round_trip(case, record_property):
    for pair in pairs(case):
        spread = pair.theirs.std(axis=(1, 2)).max() / np.abs(pair.theirs).max()
        record_property(str(case), pair.error)
        print(f"{case}: {pair.error:.1e}, spread {spread:.2g}")
        assert spread > 0.01, "blind: the logits hardly depend on the pixels"
        assert pair.error < TOLERANCE


@pytest.mark.peer
def test_folder_that_the_library_saves(tmp_path):
    """Its description of the network is understood: architecture, encoder, arguments, classes."""
    peer = find_peer("smp", "deeplabv3plus-resnet18")
    network = randomise(build_segmenter(peer, 5, decoder_channels=32), seed=1)
    network.save_pretrained(tmp_path)
    model, variables, new, *_ = load(str(tmp_path))
    assert new == ()
    assert (model.head.num_classes, model.head.width) == (5, 32)
    back = state_dict(variables, named_tensors(variables, peer.namings[0]))
    for key, array in arrays_of(network).items():
        np.testing.assert_array_equal(back[key], array, key)


def tensors_of_both(case):
    """Names and shapes of all tensors, of ours under their names and of theirs."""
    model, _, network, _ = made_alike(case)
    image = jax.ShapeDtypeStruct((1, 128, 128, 3), jnp.float32)
    shapes = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), image)
    ours = {t.key: t.stored_shape for t in named_tensors(shapes, case.peer.namings[0])}
    theirs = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    return ours, {key: shape for key, shape in theirs.items() if not key.endswith(COUNTER)}


@pytest.mark.peer
@pytest.mark.parametrize(
    "encoder",
    [name if name in FIRST.values() else exhaustive(name) for name in ENCODERS],
)
def test_tensors_of_every_encoder(encoder):
    ours, theirs = tensors_of_both(Case("smp", f"segformer-{encoder}"))
    assert ours == theirs


@pytest.mark.peer
@pytest.mark.parametrize("peer", DPT, ids=str)
def test_tensors_of_dpt(peer):
    ours, theirs = tensors_of_both(Case("smp", peer.name))
    assert ours == theirs


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("unet-tu-densenet121", "its maps of strides 4, 8 and 16 there"),
        ("unet-tu-ghostnet_100", "its maps of strides 2 and 16"),
        ("unet-tu-resnetv2_50", "its coarsest map there is neither normalised nor activated"),
        ("fpn-tu-swin_tiny_patch4_window7_224", "its coarsest map there is not normalised"),
        ("unet-tu-vit_small_patch16_224", "a vision transformer has no maps"),
        ("fpn-tu-inception_v3", "fpn takes maps to halve exactly"),
        ("deeplabv3-tu-regnety_004", "deeplabv3 dilates its encoder"),
        ("pan-tu-res2net50_14w_8s", "pan dilates its encoder"),
        ("unet-tu-convnext_tiny", "unet needs a map of half the image's size"),
        ("pspnet-tu-resnet18", "pspnet drops the last stages"),
    ],
)
def test_reason_why_timm_network_is_no_encoder(name, why):
    with pytest.raises(UserError, match=f"'smp/{name}' cannot be loaded: {why}"):
        find_peer("smp", name)


def test_every_timm_network_is_an_encoder_or_refused_for_a_reason():
    for peer in PEERS:
        if str(peer).startswith("timm/") and f"tu-{peer.name}" not in ENCODERS:
            with pytest.raises(UserError, match=f"'smp/segformer-tu-{peer.name}' cannot be"):
                find_peer("smp", f"segformer-tu-{peer.name}")


# Of that library's own encoders, those that no classifier of ours equals.
REFUSED = {
    "dpn68 dpn68b dpn92 dpn98 dpn107 dpn131": "there is no dual path network here",
    "efficientnet-b0": "a block in the middle of a stage gives its map of stride 16",
    "senet154": "its blocks and its stem of three convolutions are no option of ResNet",
    "inceptionresnetv2 inceptionv4": "all their convolutions and poolings are padded",
    "xception": "its stem is padded, and its maps are not activated",
    "timm-skresnet18 timm-skresnet34 timm-skresnext50_32x4d": "no selective kernels here",
    "mobileone_s0 mobileone_s1 mobileone_s2 mobileone_s3 mobileone_s4": "no MobileOne here",
}


@pytest.mark.peer
def test_every_native_encoder_is_known_or_refused_for_a_reason():
    smp = pytest.importorskip("segmentation_models_pytorch")
    refused = [name for names in REFUSED for name in names.split()]
    native = [name for name in ENCODERS if not name.startswith("tu-")]
    assert sorted(native + refused) == sorted(smp.encoders.encoders)


@pytest.mark.peer
@pytest.mark.parametrize(
    "encoder",
    [
        "resnet50",
        *(exhaustive(name) for name in ("vgg13", "mobilenet_v2", "tu-seresnet50")),
    ],
)
@pytest.mark.parametrize("decoder", DECODERS)
def test_tensors_of_every_decoder(decoder, encoder):
    if f"{decoder}-{encoder}" not in {peer.name for peer in SMP}:
        pytest.skip("that library does not make it, or cuts it off")
    ours, theirs = tensors_of_both(Case("smp", f"{decoder}-{encoder}"))
    assert ours == theirs
