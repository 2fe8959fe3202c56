"""What folding batch norm into the convolutions before it would gain in prediction.

    python benchmarks/batch_norm_folding.py --rounds=21
    taskset -c 0 python benchmarks/batch_norm_folding.py --networks=mobilenet_v2

A norm is folded where its input is what a convolution or a dense layer returned: the kernel is
multiplied by the norm's scale, the layer gets a bias, and the norm returns its input. The two
programs take turns, round by round; medians and quartiles of the ratios of processor time, which
other work on the machine disturbs less than the clock, and the largest difference of the logits
relative to the largest logit. Library code does not fold: the README beside this says why.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import app, flags
from flax.traverse_util import flatten_dict, unflatten_dict

import cnnlab
from cnnlab.nn.cpu_kernels.compiler import compiler_options

# Options of each network, and a batch of images [size, height, width, channels].
CASES = {
    "resnet18": ({"stem": "cifar"}, (64, 32, 32, 3)),
    "resnet50": ({}, (1, 224, 224, 3)),
    "mobilenet_v2": ({}, (16, 128, 128, 3)),
    "unet_bn": ({}, (1, 128, 128, 3)),
}

_NETWORKS = flags.DEFINE_list("networks", list(CASES), "Which to measure.")
_ROUNDS = flags.DEFINE_integer("rounds", 11, "Timings of each program.", 2)

_LINEAR = (nn.Conv, nn.ConvTranspose, nn.Dense)
_Path = tuple[str, ...]


def pairs(apply: Callable[..., Any], *inputs: Any) -> dict[_Path, tuple[_Path, float]]:
    """Path of the layer before, and epsilon, of each norm that follows a linear layer."""
    found, outputs = {}, {}

    def note(call: Callable[..., Any], args: Any, kwargs: Any, context: Any) -> Any:
        module, result = context.module, call(*args, **kwargs)
        if isinstance(module, _LINEAR):
            outputs[id(result)] = module.path, result  # kept, so that no other array gets its id
        elif isinstance(module, nn.BatchNorm) and id(args[0]) in outputs:
            found[module.path] = outputs[id(args[0])][0], module.epsilon
        return result

    with nn.intercept_methods(note):
        jax.eval_shape(apply, *inputs)
    return found


def fold(variables: Any, norms: dict[_Path, tuple[_Path, float]]) -> Any:
    """Variables whose kernels and biases do what the norms after them did."""
    flat = flatten_dict(variables)
    for norm, (layer, epsilon) in norms.items():
        mean, var = (flat["batch_stats", *norm, name] for name in ("mean", "var"))
        scale = flat["params", *norm, "scale"] / np.sqrt(var + epsilon)
        bias = flat.get(("params", *layer, "bias"), 0) - mean
        flat["params", *layer, "kernel"] = flat["params", *layer, "kernel"] * scale
        flat["params", *layer, "bias"] = flat["params", *norm, "bias"] + bias * scale
    return unflatten_dict(flat)


def folded_apply(apply: Callable[..., Any], norms: dict[_Path, Any]) -> Callable[..., Any]:
    """The same function, where those norms return their inputs."""
    layers = {layer for layer, _ in norms.values()}

    def skip(call: Callable[..., Any], args: Any, kwargs: Any, context: Any) -> Any:
        module = context.module
        if module.path in norms and isinstance(module, nn.BatchNorm):
            return args[0]
        if module.path in layers and isinstance(module, _LINEAR):
            object.__setattr__(module, "use_bias", True)  # modules are frozen
        return call(*args, **kwargs)

    def run(*inputs: Any) -> Any:
        with nn.intercept_methods(skip):
            return apply(*inputs)

    return run


def measure(name: str) -> str:
    """Row of the table for one network."""
    options, shape = CASES[name]
    model = cnnlab.create_model(name, num_classes=10, **options)
    state = cnnlab.train.create_state(model, optax.identity(), image_shape=shape[1:], seed=0)
    rng = np.random.default_rng(0)
    variables = jax.tree.map(np.asarray, dict(state.variables))
    # Statistics of a network that was trained are not 0 and 1.
    variables["batch_stats"] = jax.tree.map(
        lambda x: x + rng.uniform(0, 0.1, x.shape).astype(np.float32), variables["batch_stats"]
    )
    images = jnp.asarray(rng.normal(size=shape), jnp.float32)

    def apply(variables: Any, images: jax.Array) -> jax.Array:
        return model.apply(variables, images, train=False)

    norms = pairs(apply, variables, images)
    functions = (apply, folded_apply(apply, norms))
    programs = [jax.jit(each, compiler_options=compiler_options()) for each in functions]
    weights = [jax.device_put(each) for each in (variables, fold(variables, norms))]
    ours, folded = (
        np.asarray(program(weight, images))
        for program, weight in zip(programs, weights, strict=True)
    )
    error = np.abs(ours - folded).max() / np.abs(ours).max()
    ratios = []
    for _ in range(_ROUNDS.value):
        times = []
        for program, weight in zip(programs, weights, strict=True):
            began = time.process_time()
            for _ in range(3):
                jax.block_until_ready(program(weight, images))
            times.append(time.process_time() - began)
        ratios.append(times[0] / times[1])
    low, middle, high = statistics.quantiles(ratios, n=4)
    size = "x".join(map(str, shape))
    return f"| {name} | {size} | {len(norms)} | {error:.1e} | {middle:.2f} ({low:.2f}–{high:.2f}) |"


def main(_: list[str]) -> None:
    """Prints a table."""
    print("| network | images | norms folded | difference | unfolded / folded (quartiles) |")
    print("|---|---|---:|---:|---:|")
    for name in _NETWORKS.value:
        print(measure(name), flush=True)


if __name__ == "__main__":
    app.run(main)
