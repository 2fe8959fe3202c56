"""Networks of other libraries with random weights: what logits are compared with."""

import functools
import re

import numpy as np
import pytest


@functools.cache
def libraries():
    """torch, torchvision and timm; skips the test where one is missing."""
    torch = pytest.importorskip("torch")
    # Its threads wait for each other beside XLA's: on two cores, resnet152 took 14 s with both and
    # 0.6 s with one.
    torch.set_num_threads(1)
    # Builds of torchvision without their compiled operators import once these two are declared;
    # no classification network calls them.
    declared = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, name):
            declared.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    torchvision = pytest.importorskip("torchvision", exc_type=Exception)
    # RegNet computes its widths with tensors, and needs their values also where the network is made
    # on no device.
    params = torchvision.models.regnet.BlockParams
    widths = params.from_init_params

    def on_cpu(*args, **options):
        with torch.device("cpu"):
            return widths(*args, **options)

    params.from_init_params = on_cpu
    return torch, torchvision, pytest.importorskip("timm"), declared


def build(library, name, num_classes=1000, **arguments):
    """The network without weights, on no device: see `randomise`."""
    torch, torchvision, timm, _ = libraries()
    inception = library == "torchvision" and name in ("googlenet", "inception_v3")
    options = {"init_weights": False} if inception else {}
    options |= arguments
    # On no device nothing is drawn, only to be drawn anew.
    # Transformers with windows and filters that blur have constants among their buffers.
    constants = ("swin", "maxvit", "mobilenetv4_conv_blur")
    with torch.device("cpu" if name.startswith(constants) else "meta"):
        if library == "torchvision":
            return torchvision.models.get_model(
                name, weights=None, num_classes=num_classes, **options
            )
        return timm.create_model(name, num_classes=num_classes, **options)


def build_segmenter(peer, num_classes, **arguments):
    """The same of a segmentation network."""
    torch, torchvision, *_ = libraries()
    # MiT reads the values of a tensor where it is made; filters that blur are constants.
    on_cpu = "-mit_b" in peer.name or "-mobilenetv4_conv_blur" in peer.name
    with torch.device("cpu" if on_cpu else "meta"):
        if peer.library == "torchvision":
            return torchvision.models.get_model(
                peer.name, weights=None, weights_backbone=None, num_classes=num_classes, **arguments
            )
        smp = pytest.importorskip("segmentation_models_pytorch")
        architecture, _, encoder = peer.name.partition("-")
        if architecture == "dpt":  # without the classifier of its encoder, which nothing reads
            arguments["num_classes"] = 0
        return smp.create_model(
            architecture, encoder, encoder_weights=None, classes=num_classes, **arguments
        )


def narrow_vgg(network, width):
    """Narrows the hidden dense layers of a VGG, which have nine tenths of its weights."""
    torch, _, timm, _ = libraries()
    with torch.device("meta"):
        if hasattr(network, "classifier"):
            network.classifier[0] = torch.nn.Linear(512 * 7 * 7, width)
            network.classifier[3] = torch.nn.Linear(width, width)
            network.classifier[6] = torch.nn.Linear(width, 1000)
        else:
            network.pre_logits = timm.models.vgg.ConvMlp(512, width, 7)
            network.head.fc = torch.nn.Linear(width, 1000)
    return network


def randomise(network, seed, size=64):
    """Draws weights that keep activations in bounds and make the logits depend on the image.

    Kernels are Kaiming-scaled. Batch statistics are those of random images, moved by a tenth, with
    no variance far below its layer's. Scales and biases of norms are random too: default ones would
    hide an exchange of tensors. Biases are positive and scales small, so that few activations are
    near a threshold: with others, float32 itself was 1e-4 off float64 in the logits of ResNet-101.
    """
    torch = libraries()[0]
    generator = torch.Generator().manual_seed(seed)

    def uniform(tensor, low, high):
        tensor.uniform_(low, high, generator=generator)

    constants = {
        key: buffer.clone()
        for key, buffer in network.named_buffers()
        if re.search(r"\.(relative_|(filt|attn_mask|k_bias)$)", key)
    }
    network.to_empty(device="cpu")
    for key, value in constants.items():
        network.get_buffer(key).copy_(value)
    norms = [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    with torch.no_grad():
        for key, tensor in network.state_dict().items():
            if key in constants:
                continue
            if tensor.dtype == torch.int64:
                tensor.zero_()
            elif tensor.ndim in (2, 4):
                tensor.normal_(generator=generator).mul_((2 / tensor[0].numel()) ** 0.5)
            elif key.endswith("weight") or "layer_scale" in key or key.endswith("gamma"):
                uniform(tensor, 0.2, 0.5)
            elif key.endswith("running_var"):
                tensor.fill_(1.0)
            else:
                uniform(tensor, 0.0, 0.4)
        for module in network.modules():
            if type(module).__name__ == "ShiftedWindowAttentionV2":  # it sets this part to zero
                module.qkv.bias.view(3, -1)[1].zero_()
        network.eval()
        if norms:
            for norm in norms:
                norm.train()
                norm.momentum = 1.0
            network(torch.randn(8, 3, size, size, generator=generator))
            for norm in norms:
                norm.running_var.clamp_(min=float(norm.running_var.mean()) / 10)
                deviation = norm.running_var.sqrt()
                noise = torch.randn(deviation.shape, generator=generator)
                norm.running_mean += 0.1 * deviation * noise
                norm.running_var *= torch.empty_like(deviation).uniform_(
                    0.8, 1.25, generator=generator
                )
                norm.num_batches_tracked.zero_()
        network.eval()
        # Auxiliary classifiers of Inception networks compute in training only: theirs are drawn.
        for key, tensor in network.state_dict().items():
            if key.startswith(("aux", "AuxLogits")) and key.endswith("running_var"):
                uniform(tensor, 0.5, 1.5)
    return network


def arrays_of(network):
    """Its state dict as numpy arrays."""
    return {key: tensor.numpy() for key, tensor in network.state_dict().items()}


def logits_of(network, images):
    """Its logits of images [batch, height, width, 3]; of segmentation with classes last."""
    torch = libraries()[0]
    with torch.no_grad():
        logits = network(torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))))
    if isinstance(logits, dict):  # torchvision's have the auxiliary head's beside it
        logits = logits["out"]
    return logits.movedim(1, -1).numpy() if logits.ndim == 4 else logits.numpy()
