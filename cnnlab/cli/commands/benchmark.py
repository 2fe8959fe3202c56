"""Runs `launch.py benchmark`; its help and its flags are `cnnlab.cli.flags.benchmark`."""

import dataclasses
import json

from absl import flags

from cnnlab.analysis.speed import measure_speed
from cnnlab.cli.config_flags import resolve_config


def run(values: flags.FlagValues, overrides: dict[str, str], positional: list[str]) -> None:
    """Measures a training run and prints the results."""
    config = resolve_config(values.config, overrides)
    speed = measure_speed(config, profile=values.profile)
    if values.json:
        derived = ("images_per_second", "waiting", "utilisation")
        print(
            json.dumps(
                {
                    "model": config.model.name,
                    "data": config.data.name,
                    **dataclasses.asdict(speed),
                    **{name: getattr(speed, name) for name in derived},
                }
            )
        )
        return
    fused = f", {speed.steps_per_call} updates a call" if speed.steps_per_call > 1 else ""
    print(
        f"{config.model.name} on {config.data.name}, batches of {config.batch_size}{fused}, "
        f"{config.model.dtype}, {speed.device}\n"
        f"  speed        {speed.images_per_second:,.0f} images/s\n"
        f"  update       {speed.loop_ms:.2f} ms: the step alone {speed.step_ms:.2f}, "
        f"a batch alone {speed.input_ms:.2f}, waiting {100 * speed.waiting:.0f} %\n"
        f"  compilation  {speed.compile_seconds:.2f} s, after {speed.trace_seconds:.2f} s of "
        f"tracing\n"
        f"  memory       {speed.peak_memory / 2**20:,.0f} MiB a device\n"
        f"  utilisation  {100 * speed.utilisation:.1f} % of a matrix product's "
        f"{speed.matmul_flops / 1e9:,.0f} GFLOP/s"
    )
    if values.profile:
        print(f"  trace        {values.profile} (tensorboard --logdir, or ui.perfetto.dev)")
