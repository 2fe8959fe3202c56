"""Times the forms in which layers are computed on CPU against XLA's and flax's own.

    python benchmarks/conv_forms.py

Convolutions, max pooling, and what lies between two products: norms and activations. Each forward
and backward, in both forms, in turns, round by round, in one process; medians of the times and of
the rounds' ratios.
"""

import fnmatch
import statistics
import time
from collections.abc import Callable

import _sides
import jax
from absl import app, flags

from cnnlab.nn.choices import make_activation, make_norm
from cnnlab.nn.conv import conv_general_dilated
from cnnlab.nn.conv_transpose import conv_transpose
from cnnlab.nn.cpu_kernels.compiler import compiler_options
from cnnlab.nn.cpu_kernels.switch import without_cpu_kernels
from cnnlab.nn.pool import max_pool

_LAYERS = flags.DEFINE_string("layers", "*", "Pattern of the names of the layers to time.")
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Rounds of both forms; medians are reported.", 1)

NHWC = ("NHWC", "HWIO", "NHWC")
# Batch, height, channels, features, kernel, stride, groups; and, for transposed ones, 0 groups.
LAYERS = {
    "5x5, 1 to 6": (256, 28, 1, 6, 5, 1, 1),
    "3x3, 3 to 64": (64, 32, 3, 64, 3, 1, 1),
    "3x3, 128 to 128 (VGG at 32 pixels)": (128, 2, 128, 128, 3, 1, 1),
    "3x3, 256 to 512, stride 2": (64, 4, 256, 512, 3, 2, 1),
    "1x1, 64 to 256": (8, 56, 64, 256, 1, 1, 1),
    "1x1, 512 to 128": (8, 28, 512, 128, 1, 1, 1),
    "1x1, 256 to 512, stride 2": (4, 56, 256, 512, 1, 2, 1),
    "3x3, 32 groups of 4": (8, 16, 128, 128, 3, 1, 32),
    "3x3, 32 groups of 32": (8, 4, 1024, 1024, 3, 1, 32),
    "3x3, depthwise, 96": (8, 32, 96, 96, 3, 1, 96),
    "5x5, depthwise, 1,152": (8, 8, 1152, 1152, 5, 1, 1152),
    "5x5, depthwise, 144, stride 2": (8, 56, 144, 144, 5, 2, 144),
    "7x7, depthwise, 192": (8, 16, 192, 192, 7, 1, 192),
    "2x2 transposed, 128 to 64, stride 2": (2, 64, 128, 64, 2, 2, 0),
    "2x2 transposed, 1,024 to 512, stride 2": (2, 8, 1024, 512, 2, 2, 0),
    "3x3 transposed, 64 to 32, stride 2 (SA-UNet)": (12, 12, 64, 32, 3, 2, 0),
    "4x4 transposed, 21 to 21, stride 2": (2, 32, 21, 21, 4, 2, 0),
}
# Batch, height, channels, window, stride.
POOLINGS = {
    "max pooling, 3x3, stride 2 (ResNet-50)": (4, 112, 64, 3, 2),
    "max pooling, 3x3, stride 2": (128, 32, 96, 3, 2),
    "max pooling, 3x3, stride 1 (GoogLeNet)": (128, 14, 192, 3, 1),
}
# Batch, height, channels of the first product, features of it, norm, activation.
BLOCKS = {
    "batch norm, ReLU6 (MobileNetV2)": (8, 56, 24, 144, "batch", "relu6"),
    "batch norm, SiLU (EfficientNet)": (8, 56, 24, 144, "batch", "silu"),
    "group norm, ReLU": (8, 56, 24, 144, "group", "relu"),
    "GELU (ConvNeXt)": (4, 56, 96, 384, "none", "gelu"),
}
_SECONDS = 0.2  # of a round, about


def layer(batch, height, channels, features, kernel, stride, groups) -> Callable[[], None]:
    """Value and gradients of a layer, traced in the form that is chosen now, and compiled."""
    x = jax.random.normal(jax.random.key(0), (batch, height, height, channels))
    shape = (kernel, kernel, channels // max(groups, 1), features)
    weights = 0.05 * jax.random.normal(jax.random.key(1), shape)

    def apply(x: jax.Array, weights: jax.Array) -> jax.Array:
        if groups == 0:
            return conv_transpose(x, weights, stride)
        return conv_general_dilated(
            x, weights, (stride, stride), "SAME", dimension_numbers=NHWC,
            feature_group_count=groups,
        )  # fmt: skip

    return forward_and_backward(apply, x, weights)


def pooling(batch, height, channels, window, stride) -> Callable[[], None]:
    """Value and gradient of max pooling, padded by one, as `layer`."""
    x = jax.random.normal(jax.random.key(0), (batch, height, height, channels))

    def apply(x: jax.Array) -> jax.Array:
        return max_pool(x, (window, window), (stride, stride), ((1, 1), (1, 1)))

    return forward_and_backward(apply, x)


def block(batch, height, channels, features, norm_name, activation) -> Callable[[], None]:
    """Value and gradients of a product, norm, activation and product, as `layer`."""
    norm = make_norm(norm_name, train=True)()
    act = make_activation(activation)
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], (batch, height, height, channels))
    into = jax.random.normal(keys[1], (channels, features)) / channels**0.5
    out = jax.random.normal(keys[2], (features, channels)) / features**0.5
    variables = norm.init(keys[0], x @ into)
    params = variables.pop("params", {})

    def apply(x: jax.Array, into: jax.Array, params: dict, out: jax.Array) -> jax.Array:
        y, _ = norm.apply({"params": params, **variables}, x @ into, mutable=["batch_stats"])
        return act(y) @ out

    return forward_and_backward(apply, x, into, params, out)


def forward_and_backward(apply: Callable[..., jax.Array], *arrays: jax.Array) -> Callable[[], None]:
    """A call of `apply` and of its gradients by all arrays, compiled."""

    def both(cotangent: jax.Array, *arrays: jax.Array) -> tuple:
        y, backward = jax.vjp(apply, *arrays)
        return y, *backward(cotangent)

    output = jax.eval_shape(apply, *arrays)
    cotangent = jax.random.normal(jax.random.key(2), output.shape)
    compiled = (
        jax.jit(both, compiler_options=compiler_options()).lower(cotangent, *arrays).compile()
    )
    return lambda: jax.block_until_ready(compiled(cotangent, *arrays))


def milliseconds(call: Callable[[], None], calls: int) -> float:
    """Of one call."""
    began = time.perf_counter()
    for _ in range(calls):
        call()
    return 1e3 * (time.perf_counter() - began) / calls


def main(_: list[str]) -> None:
    if jax.default_backend() != "cpu":
        raise app.UsageError("These forms are for CPUs; set JAX_PLATFORMS=cpu.")
    print("| layer | at | XLA's own, ms | form, ms | ratio (min–max) |")
    print("|---|---|---:|---:|---:|")
    chosen = [(layer, name, sizes) for name, sizes in LAYERS.items()]
    chosen += [(pooling, name, sizes) for name, sizes in POOLINGS.items()]
    chosen += [(block, name, sizes) for name, sizes in BLOCKS.items()]
    for make, name, sizes in chosen:
        if not fnmatch.fnmatch(name, _LAYERS.value):
            continue
        with without_cpu_kernels():
            plain = make(*sizes)
        calls = {"plain": plain, "form": make(*sizes)}
        numbers = {}
        for form, call in calls.items():
            call()
            numbers[form] = max(1, round(1e3 * _SECONDS / milliseconds(call, 1)))
        times: dict[str, list[float]] = {form: [] for form in calls}
        for _ in range(_ROUNDS.value):
            for form, call in calls.items():
                times[form].append(milliseconds(call, numbers[form]))
        medians = {form: statistics.median(found) for form, found in times.items()}
        ratio = _sides.spread(_sides.ratios(times["plain"], times["form"])).replace("-", "–")
        print(
            f"| {name} | {sizes[0]} of {sizes[1]}x{sizes[1]} | {medians['plain']:,.1f} "
            f"| {medians['form']:,.1f} | {ratio} |",
            flush=True,
        )


if __name__ == "__main__":
    app.run(main)
