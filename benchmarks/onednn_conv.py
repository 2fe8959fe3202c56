"""Forward convolutions by the oneDNN that jaxlib carries, beside cnnlab's forms on CPU.

    python benchmarks/onednn_conv.py --rounds=7

XLA has calls of oneDNN, PyTorch's library of CPU kernels, and jaxlib 0.10.1 to 0.12.0 are built
with them, but their compiler does not make such calls. `jax.ffi` can make them by name. Each
layer's result is compared with cnnlab's first, then both are timed in turns; medians, least and
most of the ratios.

This is a measurement and nothing to build on: README.md of this folder says why.
"""

import functools
import json
import statistics
import time

import _sides
import jax
import numpy as np
from absl import app, flags

from cnnlab.nn.conv import conv_general_dilated
from cnnlab.nn.cpu_kernels.compiler import compiler_options

# Batch, height and width, channels, features, kernel, stride, groups.
LAYERS = [
    (64, 32, 64, 64, 3, 1, 1),
    (64, 16, 128, 128, 3, 1, 1),
    (64, 8, 256, 256, 3, 1, 1),
    (4, 56, 64, 64, 3, 1, 1),
    (4, 224, 3, 64, 7, 2, 1),
    (4, 28, 512, 128, 1, 1, 1),
    (8, 112, 32, 32, 3, 1, 32),
    (8, 28, 192, 192, 5, 1, 192),
    (4, 14, 384, 384, 7, 1, 384),
]

_ROUNDS = flags.DEFINE_integer("rounds", 5, "Timings of each layer.", 1)


def onednn_conv(x: jax.Array, kernel: jax.Array, stride: int, groups: int) -> jax.Array:
    """Convolution of NHWC images, padded by half of the kernel, without derivatives.

    The description has XLA's own field names (xla/service/cpu/onednn_config.proto).
    """
    pad = kernel.shape[0] // 2
    height, width = ((size + 2 * pad - kernel.shape[0]) // stride + 1 for size in x.shape[1:3])
    images = {"dims": 4, "data": {"batch_dim": 0, "feature_dim": 3, "spatial_dims": [1, 2]}}
    filters = {"input_feature_dim": 2, "output_feature_dim": 3, "spatial_dims": [0, 1]}
    window = {
        "pad_left": [pad, pad],
        "pad_right": [pad, pad],
        "strides": [stride, stride],
        "window_dilations": [1, 1],
    }
    config = {
        "dims": 4,
        "input": images,
        "kernel": {"dims": 4, "filter": filters},
        "output": images,
        "window": window,
        "feature_groups": groups,
    }
    shape = (x.shape[0], height, width, kernel.shape[-1])
    call = jax.ffi.ffi_call(
        "__onednn$convolution",
        jax.ShapeDtypeStruct(shape, x.dtype),
        custom_call_api_version=1,
        legacy_backend_config=json.dumps({"onednn_conv_config": config}),
    )
    return call(x, kernel)


def measure(layer: tuple[int, ...]) -> tuple[list[float], list[float]]:
    """Milliseconds of each round: oneDNN's, ours. Raises an AssertionError for another result."""
    batch, size, channels, features, taps, stride, groups = layer
    rng = np.random.default_rng(0)
    x = rng.normal(size=(batch, size, size, channels)).astype(np.float32)
    kernel = rng.normal(size=(taps, taps, channels // groups, features)).astype(np.float32)
    x, kernel = jax.device_put((x, kernel))
    numbers = ("NHWC", "HWIO", "NHWC")
    ours = functools.partial(
        conv_general_dilated,
        window_strides=(stride, stride),
        padding=[(taps // 2, taps // 2)] * 2,
        dimension_numbers=numbers,
        feature_group_count=groups,
    )
    theirs = functools.partial(onednn_conv, stride=stride, groups=groups)
    programs = [
        jax.jit(side, compiler_options=compiler_options()).lower(x, kernel).compile()
        for side in (theirs, ours)
    ]
    results = [np.asarray(program(x, kernel)) for program in programs]
    np.testing.assert_allclose(*results, rtol=1e-4, atol=1e-5 * np.abs(results[0]).max())
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(_ROUNDS.value):
        for program, found in zip(programs, times, strict=True):
            began = time.perf_counter()
            program(x, kernel).block_until_ready()
            found.append((time.perf_counter() - began) * 1e3)
    return times


def main(_: list[str]) -> None:
    """Prints a table."""
    print("| layer | at | cnnlab, ms | oneDNN, ms | ratio (min–max) |")
    print("|---|---|---:|---:|---|")
    for layer in LAYERS:
        batch, size, channels, features, taps, stride, groups = layer
        theirs, ours = measure(layer)
        gain = _sides.spread(_sides.ratios(ours, theirs)).replace("-", "–")
        name = f"{taps}x{taps}, {channels} to {features}"
        name = f"{taps}x{taps}, depthwise, {channels}" if groups > 1 else name
        name += f", stride {stride}" if stride > 1 else ""
        print(
            f"| {name} | {batch} of {size}x{size} | {statistics.median(ours):.2f} | "
            f"{statistics.median(theirs):.2f} | {gain} |",
            flush=True,
        )


if __name__ == "__main__":
    app.run(main)
