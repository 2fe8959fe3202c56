"""The networks of the benchmarks, and how each side trains them and predicts with them.

Both sides get images that lie in memory already. On CPU they compute in float32; on accelerators in
bfloat16, and PyTorch is compiled there. PyTorch's images are `channels_last` everywhere.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

LEARNING_RATE, MOMENTUM, WEIGHT_DECAY = 0.01, 0.9, 5e-4


@dataclasses.dataclass(frozen=True)
class Case:
    """A network, and the batches [size, height, width, channels] for CPU and for accelerators."""

    model: str
    options: dict[str, Any]
    cpu: tuple[int, int, int, int]
    accelerator: tuple[int, int, int, int]
    label_maps: bool = False


CASES = {
    "lenet": Case("lenet", {}, (256, 28, 28, 1), (4096, 28, 28, 1)),
    "lenet_relu": Case("lenet_relu", {}, (256, 28, 28, 1), (4096, 28, 28, 1)),
    "resnet18": Case("resnet18", {"stem": "cifar"}, (64, 32, 32, 3), (1024, 32, 32, 3)),
    "unet": Case("unet_bn", {}, (2, 128, 128, 3), (16, 512, 512, 3), label_maps=True),
}

# What does `steps` of work, waits for it, and returns a number of its result.
Run = Callable[[int], float]


def batch_of(name: str, *, accelerator: bool, quick: bool) -> tuple[int, int, int, int]:
    """The shape of a network's batch."""
    shape = CASES[name].accelerator if accelerator else CASES[name].cpu
    return (min(shape[0], 8), *shape[1:]) if quick else shape


def has_accelerator() -> bool:
    """Whether JAX computes on something else than the CPU."""
    import jax

    return jax.default_backend() != "cpu"


def make_batch(name: str, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Random images and labels, the same on both sides."""
    rng = np.random.default_rng(0)
    images = rng.normal(size=shape).astype(np.float32)
    labels = shape[:3] if CASES[name].label_maps else shape[:1]
    return images, rng.integers(10, size=labels).astype(np.int32)


def cnnlab_train(name: str, shape: tuple[int, ...]) -> Run:
    """Steps of training: forward, cross-entropy, backward, SGD with momentum and weight decay."""
    import jax
    import optax

    import cnnlab

    model = _cnnlab_model(name)
    tx = optax.chain(
        optax.add_decayed_weights(WEIGHT_DECAY), optax.sgd(LEARNING_RATE, momentum=MOMENTUM)
    )
    state = cnnlab.train.create_state(model, tx, image_shape=shape[1:], seed=0)
    tasks = cnnlab.tasks
    task = tasks.Segmentation(10) if CASES[name].label_maps else tasks.Classification(10)
    call = jax.jit(cnnlab.train.make_train_step(model, task, tx), donate_argnums=0)
    images, labels = make_batch(name, shape)
    batch = {"image": images, "label": labels, "mask": np.ones(shape[0], np.float32)}
    batch = jax.device_put(batch)

    def run(steps: int) -> float:
        nonlocal state
        for _ in range(steps):
            state, sums = call(state, batch)
        return float(sums["loss"])

    return run


def cnnlab_predict(name: str, shape: tuple[int, ...]) -> Run:
    """Forward passes with the statistics of batch norm that training would have left."""
    import jax
    import optax

    import cnnlab

    model = _cnnlab_model(name)
    state = cnnlab.train.create_state(model, optax.identity(), image_shape=shape[1:], seed=0)
    call = jax.jit(lambda variables, images: model.apply(variables, images, train=False))
    variables, images = jax.device_put((state.variables, make_batch(name, shape)[0]))

    def run(steps: int) -> float:
        for _ in range(steps):
            logits = call(variables, images)
        return float(logits.ravel()[0])

    return run


def _cnnlab_model(name: str) -> Any:
    import jax.numpy as jnp

    import cnnlab

    case = CASES[name]
    dtype = jnp.bfloat16 if has_accelerator() else jnp.float32
    return cnnlab.create_model(case.model, num_classes=10, dtype=dtype, **case.options)


def torch_train(name: str, shape: tuple[int, ...], *, compiled: bool | None = None) -> Run:
    """The same steps in PyTorch; compiled only on accelerators where nothing else is said."""
    import torch

    model, images, labels, precision = _torch_parts(name, shape)
    model.train()
    optimizer = torch.optim.SGD(
        model.parameters(), LEARNING_RATE, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY
    )
    if compiled is None:
        compiled = images.is_cuda
    forward = torch.compile(model) if compiled else model

    def run(steps: int) -> float:
        for _ in range(steps):
            optimizer.zero_grad()
            with precision():
                loss = torch.nn.functional.cross_entropy(forward(images), labels)
            loss.backward()
            optimizer.step()
        return loss.item()

    return run


def torch_predict(name: str, shape: tuple[int, ...], *, compiled: bool) -> Run:
    """The same forward passes in PyTorch."""
    import torch

    model, images, _, precision = _torch_parts(name, shape)
    model.eval()
    forward = torch.compile(model) if compiled else model

    def run(steps: int) -> float:
        with torch.inference_mode(), precision():
            for _ in range(steps):
                logits = forward(images)
            return logits.flatten()[0].item()

    return run


def _torch_parts(name: str, shape: tuple[int, ...]) -> tuple[Any, Any, Any, Callable[[], Any]]:
    """Network, images, labels, and what to compute in for the device's usual precision."""
    import contextlib
    import functools

    import torch
    from _peer_models import MODELS

    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = MODELS[name]().to(device, memory_format=torch.channels_last)
    images, labels = make_batch(name, shape)
    images = torch.from_numpy(images).to(device).permute(0, 3, 1, 2)  # NHWC in memory
    labels = torch.from_numpy(labels).long().to(device)
    precision = contextlib.nullcontext
    if device == "cuda":
        precision = functools.partial(torch.autocast, device, torch.bfloat16)
    return model, images, labels, precision
