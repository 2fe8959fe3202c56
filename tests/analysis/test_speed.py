"""What `launch.py benchmark` measures, on a tiny network: only the kinds of numbers count."""

import dataclasses
import gzip
import json

import jax.numpy as jnp
import pytest

from cnnlab.analysis import speed
from cnnlab.analysis.speed import matmul_rate, measure_speed
from cnnlab.cli.main import main
from cnnlab.errors import UserError


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr(speed, "_ROUND_SECONDS", 0.02)


def test_speed_and_trace(tiny_config, tmp_path):
    found = measure_speed(tiny_config, profile=tmp_path)
    assert found.loop_ms > 0 and found.step_ms > 0 and found.input_ms > 0
    assert found.compile_seconds > 0 and found.trace_seconds > 0
    assert found.images_per_second == pytest.approx(32e3 / found.loop_ms)
    # 64 pixels to 16 to 10 classes; forward and twice that backward, two operations each.
    assert found.flops == 6 * 32 * (64 * 16 + 16 * 10)
    assert 0 <= found.waiting < 1
    assert 0 < found.utilisation < 1
    # At least the batch: uint8 images, int32 labels, float32 mask.
    assert found.peak_memory > 32 * (64 + 4 + 4)
    (trace,) = tmp_path.rglob("perfetto_trace.json.gz")
    assert json.loads(gzip.decompress(trace.read_bytes()))["traceEvents"]


def test_a_larger_matrix_product_takes_longer_and_says_the_same():
    rates = [matmul_rate(jnp.dtype("float32"), size) for size in (256, 512)]
    assert 0.1 < rates[0] / rates[1] < 10


def test_pmap_is_one_sentence(tiny_config):
    with pytest.raises(UserError, match="parallel=pmap"):
        measure_speed(dataclasses.replace(tiny_config, parallel="pmap"))


def test_command(capsys):
    flags = ["--config=mlp_digits", "--config.data.image_size=8", "--config.num_devices=1"]
    assert main(["launch.py", "benchmark", *flags, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["model"] == "mlp" and told["images_per_second"] > 0
    assert main(["launch.py", "benchmark", *flags]) == 0
    out = capsys.readouterr().out
    assert "images/s" in out and "% of a matrix product" in out
