"""The networks of the benchmarks, and how each side trains them and predicts with them.

Both sides get images that lie in memory already. On CPU they compute in float32; on accelerators in
bfloat16, where PyTorch is compiled, cuDNN may choose its algorithms by trial on both sides, and
PyTorch has its fused optimizer. PyTorch's images are `channels_last` everywhere.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np

LEARNING_RATE, MOMENTUM, WEIGHT_DECAY = 0.01, 0.9, 5e-4
# Updates of a call of our compiled program on accelerators, as a run makes them there.
FUSED_UPDATES = 10


@dataclasses.dataclass(frozen=True)
class Case:
    """A network, and the batches [size, height, width, channels] for CPU and for accelerators.

    Attributes:
      model: our name of it; `_peer_models` has PyTorch's.
      options: of ours.
      cpu: batch on CPU.
      accelerator: batch elsewhere.
      label_maps: whether each pixel has a label.
      members: networks that are trained side by side, each on a batch of its own.
    """

    model: str
    options: dict[str, Any]
    cpu: tuple[int, int, int, int]
    accelerator: tuple[int, int, int, int]
    label_maps: bool = False
    members: int = 1


NETWORKS = {
    "lenet": Case("lenet", {}, (256, 28, 28, 1), (4096, 28, 28, 1)),
    "lenet_relu": Case("lenet_relu", {}, (256, 28, 28, 1), (4096, 28, 28, 1)),
    "resnet18": Case("resnet18", {"stem": "cifar"}, (64, 32, 32, 3), (1024, 32, 32, 3)),
    "resnet50": Case("resnet50", {}, (4, 224, 224, 3), (256, 224, 224, 3)),
    "unet": Case("unet_bn", {}, (2, 128, 128, 3), (16, 512, 512, 3), label_maps=True),
    "mobilenet_v2": Case("mobilenet_v2", {}, (8, 224, 224, 3), (256, 224, 224, 3)),
    "efficientnet_b0": Case("efficientnet_b0", {}, (8, 224, 224, 3), (256, 224, 224, 3)),
    "convnext_tiny": Case("convnext_tiny", {}, (4, 224, 224, 3), (128, 224, 224, 3)),
}
POPULATIONS = {
    f"{members} x lenet": Case("lenet_relu", {}, (64, 28, 28, 1), (128, 28, 28, 1), members=members)
    for members in (1, 4, 16, 64, 256)
}
CASES = NETWORKS | POPULATIONS


@dataclasses.dataclass(frozen=True)
class Work:
    """What is timed.

    Attributes:
      run: does so many steps, waits for them, and returns a number of their result.
      images: of one step.
    """

    run: Callable[[int], float]
    images: int


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


def cnnlab_train(name: str, shape: tuple[int, ...]) -> Work:
    """Steps of training: forward, cross-entropy, backward, SGD with momentum and weight decay."""
    import jax
    import optax

    import cnnlab
    from cnnlab.nn.cpu_kernels.compiler import compiler_options

    model = _cnnlab_model(name)
    tx = optax.chain(
        optax.add_decayed_weights(WEIGHT_DECAY), optax.sgd(LEARNING_RATE, momentum=MOMENTUM)
    )
    state = cnnlab.train.create_state(model, tx, image_shape=shape[1:], seed=0)
    tasks = cnnlab.tasks
    task = tasks.Segmentation(10) if CASES[name].label_maps else tasks.Classification(10)
    step = cnnlab.train.make_train_step(model, task, tx)
    updates = updates_per_step()
    images, labels = make_batch(name, shape)
    batch = {"image": images, "label": labels, "mask": np.ones(shape[0], np.float32)}
    batch = jax.device_put(batch)
    if updates > 1:
        batch = jax.tree.map(lambda x: jax.numpy.stack([x] * updates), batch)

    @functools.partial(jax.jit, donate_argnums=0, compiler_options=compiler_options())
    def call(state: Any, batch: Any) -> tuple[Any, Any]:
        return jax.lax.scan(step, state, batch) if updates > 1 else step(state, batch)

    def run(steps: int) -> float:
        nonlocal state
        for _ in range(steps):
            state, sums = call(state, batch)
        return float(sums["loss"].ravel()[-1])

    return Work(run, updates * shape[0])


def cnnlab_population(name: str, shape: tuple[int, ...]) -> Work:
    """Steps of several networks side by side, as a sweep trains them: each on its own batches."""
    import cnnlab
    from cnnlab.config import Config, ModelConfig, OptimizerConfig
    from cnnlab.train.engines.compiled_steps import CompiledSteps
    from cnnlab.train.engines.vmapped import VmapEngine

    members = CASES[name].members
    data = cnnlab.data
    images = np.random.default_rng(0).integers(0, 256, (10_000, *shape[1:]), np.uint8)
    info = data.DatasetInfo(
        "random", tuple("0123456789"), shape[1:], {"train": len(images)}, (0.5,), (0.25,)
    )
    source = data.ArraySource(images, make_batch(name, (len(images), *shape[1:]))[1])
    config = Config(
        batch_size=shape[0],
        num_devices=1,
        model=ModelConfig(CASES[name].model, dtype="bfloat16" if has_accelerator() else "float32"),
        optimizer=OptimizerConfig(
            learning_rate=LEARNING_RATE, weight_decay=WEIGHT_DECAY, options={"momentum": MOMENTUM}
        ),
    )
    compiled = CompiledSteps(config, data.Dataset(info, {"train": source, "test": source}))
    rows, updates = VmapEngine(compiled, members), compiled.steps_per_call
    experiment = compiled.experiment(config)
    rows.fill([compiled.new_carry(experiment)])
    rows.set_hparams([experiment.hparams])
    rows.set_seeds(range(members))

    def run(steps: int) -> float:
        for _ in range(steps):
            rows.advance(range(updates))
        return float(rows.metrics()[0]["loss"])

    return Work(run, updates * members * shape[0])


def updates_per_step() -> int:
    """Updates of a timed step of training."""
    return FUSED_UPDATES if has_accelerator() else 1


def cnnlab_predict(name: str, shape: tuple[int, ...]) -> Work:
    """Forward passes with the statistics of batch norm that training would have left."""
    import jax
    import optax

    import cnnlab
    from cnnlab.nn.cpu_kernels.compiler import compiler_options

    model = _cnnlab_model(name)
    state = cnnlab.train.create_state(model, optax.identity(), image_shape=shape[1:], seed=0)
    call = jax.jit(
        lambda variables, images: model.apply(variables, images, train=False),
        compiler_options=compiler_options(),
    )
    variables, images = jax.device_put((state.variables, make_batch(name, shape)[0]))

    def run(steps: int) -> float:
        for _ in range(steps):
            logits = call(variables, images)
        return float(logits.ravel()[0])

    return Work(run, shape[0])


def _cnnlab_model(name: str) -> Any:
    import jax.numpy as jnp

    import cnnlab

    case = CASES[name]
    dtype = jnp.bfloat16 if has_accelerator() else jnp.float32
    return cnnlab.create_model(case.model, num_classes=10, dtype=dtype, **case.options)


def torch_train(name: str, shape: tuple[int, ...], *, compiled: bool | None = None) -> Work:
    """The same steps in PyTorch; compiled only on accelerators where nothing else is said."""
    import torch

    model, images, labels, precision = _torch_parts(name, shape)
    model.train()
    optimizer = torch.optim.SGD(
        model.parameters(),
        LEARNING_RATE,
        momentum=MOMENTUM,
        weight_decay=WEIGHT_DECAY,
        fused=True if images.is_cuda else None,
    )
    if compiled is None:
        compiled = images.is_cuda
    forward = torch.compile(model) if compiled else model
    updates = FUSED_UPDATES if images.is_cuda else 1

    def run(steps: int) -> float:
        for _ in range(steps * updates):
            optimizer.zero_grad()
            with precision():
                loss = torch.nn.functional.cross_entropy(forward(images), labels)
            loss.backward()
            optimizer.step()
        return loss.item()

    return Work(run, updates * shape[0])


def torch_population(name: str, shape: tuple[int, ...]) -> Work:
    """The same steps by `torch.func`: gradients under `vmap`, compiled with the update."""
    import copy

    import torch
    from _peer_models import MODELS

    members = CASES[name].members
    _, _, _, precision = _torch_parts("lenet_relu", (1, *shape[1:]))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    networks = [MODELS["lenet_relu"]().to(device) for _ in range(members)]
    params, _ = torch.func.stack_module_state(networks)
    params = {name: value.detach() for name, value in params.items()}
    momenta = {name: torch.zeros_like(value) for name, value in params.items()}
    skeleton = copy.deepcopy(networks[0]).to("meta")
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.normal(size=(10_000, *shape[1:])).astype(np.float32)).to(device)
    labels = torch.from_numpy(rng.integers(10, size=10_000)).to(device)
    images = images.permute(0, 3, 1, 2)

    def loss_of(params: Any, images: Any, labels: Any) -> Any:
        logits = torch.func.functional_call(skeleton, params, (images,))
        return torch.nn.functional.cross_entropy(logits, labels)

    @torch.compile
    def step(params: Any, momenta: Any, chosen: Any) -> tuple[Any, Any, Any]:
        with precision():
            grads, losses = torch.func.vmap(torch.func.grad_and_value(loss_of))(
                params, images[chosen], labels[chosen]
            )
        momenta = {
            name: MOMENTUM * momenta[name] + grads[name] + WEIGHT_DECAY * params[name]
            for name in params
        }
        params = {name: params[name] - LEARNING_RATE * momenta[name] for name in params}
        return params, momenta, losses

    updates = FUSED_UPDATES if device == "cuda" else 1

    def run(steps: int) -> float:
        nonlocal params, momenta
        for _ in range(steps * updates):
            chosen = torch.randint(len(images), (members, shape[0]), device=device)
            params, momenta, losses = step(params, momenta, chosen)
        return losses[0].item()

    return Work(run, updates * members * shape[0])


def torch_predict(name: str, shape: tuple[int, ...], *, compiled: bool) -> Work:
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

    return Work(run, shape[0])


def _torch_parts(name: str, shape: tuple[int, ...]) -> tuple[Any, Any, Any, Callable[[], Any]]:
    """Network, images, labels, and what to compute in for the device's usual precision."""
    import torch
    from _peer_models import MODELS

    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = MODELS[name]().to(device, memory_format=torch.channels_last)
    images, labels = make_batch(name, shape)
    images = torch.from_numpy(images).to(device).permute(0, 3, 1, 2)  # NHWC in memory
    labels = torch.from_numpy(labels).long().to(device)
    precision = contextlib.nullcontext
    if device == "cuda":
        precision = functools.partial(torch.autocast, device, torch.bfloat16)
    return model, images, labels, precision
