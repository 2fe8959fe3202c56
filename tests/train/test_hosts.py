"""Two processes that train together see and compute what one does."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]

# Trains a few steps on all devices of all processes, then evaluates; prints every number.
_PROGRAM = """
import json, sys
import jax
import numpy as np

count, index, port = map(int, sys.argv[1:])
if count > 1:
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"localhost:{port}", num_processes=count, process_id=index)
assert jax.process_count() == count and len(jax.devices()) == 4

from cnnlab.config import Config, DataConfig, AugmentConfig, ModelConfig, OptimizerConfig
from cnnlab.data import ArraySource
from cnnlab.train import evaluate, load_data, make_parallel, make_setup
from cnnlab.train.feed import make_feed

config = Config(batch_size=32, epochs=None, steps=8, data=DataConfig(image_size=8),
                augment=AugmentConfig(pad_crop=1, mixup_alpha=0.2),
                model=ModelConfig("mlp", options={"hidden": (16,), "dropout_rate": 0.1}),
                optimizer=OptimizerConfig(learning_rate=0.1))
dataset = load_data(config)
setup = make_setup(config, dataset.info)
parallel = make_parallel("jit")
step = setup.train_step()
call = parallel.compile_train(lambda carry, batch: step(carry[0], batch))
train = dataset.splits["train"]

class Streamed:
    def __len__(self): return len(train)
    def __getitem__(self, index): return train[index]

told = {}
for name, source in (("memory", train), ("stream", Streamed())):
    carry = parallel.replicate((setup.create_state(), setup.zero_window()))
    losses = []
    feed = make_feed(source, parallel, seed=3, batch_size=32, start_step=0, stop_step=8,
                     steps_per_call=1, num_workers=0)
    for _, batch in feed:
        assert batch["image"].shape == (32, 8, 8, 1)
        carry = call(carry, batch)
        losses.append(float(carry[1]["loss"]))
    told[name] = losses
sums = evaluate(parallel.compile_eval(setup.eval_step()), carry[0].variables,
                dataset.splits["test"], parallel, batch_size=32)
told["evaluation"] = [float(sums["loss"]), int(sums["correct"]), int(sums["count"])]
print(json.dumps(told))
"""


def run_together(count):
    """What each of `count` processes with four devices in all has printed."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    flags = f"--xla_force_host_platform_device_count={4 // count}"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(count), str(index), str(port)],
            cwd=ROOT,
            env=os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for index in range(count)
    ]
    outputs = [process.communicate(timeout=180)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * count
    return [json.loads(output.splitlines()[-1]) for output in outputs]


@pytest.mark.slow
def test_two_processes_compute_what_one_does():
    (alone,) = run_together(1)
    first, second = run_together(2)
    assert first == second
    assert alone["memory"] == alone["stream"] and len(alone["memory"]) == 8
    for name, numbers in alone.items():
        np.testing.assert_allclose(first[name], numbers, rtol=1e-5, err_msg=name)
    assert first["evaluation"][1:] == alone["evaluation"][1:]
    assert alone["evaluation"][2] == 359
