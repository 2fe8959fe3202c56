"""Each function of a run is compiled once."""

import collections
import logging
import re

import jax
import pytest

from cnnlab.config import apply_overrides
from cnnlab.train import CompiledSteps, Interrupted, fit, load_data
from tests.train.test_loop import Quiet, terminate


@pytest.fixture
def compiled(caplog):
    """How often each function was compiled, by name, since the last call."""

    def count():
        found = re.findall(r"Compiling (?:jit\()?(\w+)\)? with global shapes", caplog.text)
        caplog.clear()
        return collections.Counter(found)

    with jax.log_compiles(), caplog.at_level(logging.DEBUG, logger="jax"):
        yield count


@pytest.mark.parametrize(
    "overrides",
    [
        {},
        pytest.param(
            {"num_devices": 2, "optimizer.ema_decay": 0.9},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            {"optimizer.accumulate_steps": 2, "augment.pad_crop": 1, "augment.mixup_alpha": 0.2},
            marks=pytest.mark.slow,
        ),
        {"steps_per_call": 5},
    ],
)
def test_a_run_compiles_each_function_once(tiny_config, tmp_path, compiled, overrides):
    """With logs, evaluations of two splits and checkpoints in between, and after a resume."""
    config = apply_overrides(tiny_config, {"evaluation.every_epochs": 0.12, **overrides})
    with pytest.raises(Interrupted):
        fit(config, tmp_path, callbacks=[Quiet(10, terminate)])
    for counts in (compiled(), (fit(config, tmp_path, callbacks=[Quiet()]), compiled())[1]):
        step = "advance" if "steps_per_call" not in overrides else "fused"
        assert counts[step] == 1, counts
        assert counts["gather"] <= 1, counts  # all runs of a process share it
        assert counts["eval_step"] == 1, counts


def test_runs_of_other_numbers_compile_nothing_more(tiny_config, tmp_path, compiled):
    """Learning rate, momentum, dropout and seed are arguments of the programs."""
    shared = CompiledSteps(tiny_config, load_data(tiny_config))
    fit(tiny_config, tmp_path / "first", callbacks=[Quiet()], compiled=shared)
    assert compiled()["advance"] == 1
    other = apply_overrides(
        tiny_config,
        {"optimizer.learning_rate": 0.03, "optimizer.options.momentum": 0.5, "seed": 7,
         "model.options.dropout_rate": 0.4},
    )  # fmt: skip
    fit(other, tmp_path / "second", callbacks=[Quiet()], compiled=shared)
    counts = compiled()
    assert not {"advance", "eval_step", "gather", "<lambda>"} & set(counts), counts
    with pytest.raises(ValueError, match="differ in hyper-parameters only"):
        shared.experiment(apply_overrides(tiny_config, {"batch_size": 16}))
