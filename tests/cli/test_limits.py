"""Sizes that cannot be allocated are refused in a sentence, before a run begins."""

import pytest

from cnnlab.cli.main import main
from cnnlab.errors import UserError
from cnnlab.storage import memory
from cnnlab.storage.memory import check_fits, host_memory

TINY = ["--config=mlp_digits", "--config.num_devices=1"]


def test_the_memory_is_that_of_the_machine_or_of_its_group(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_GROUP", tmp_path / "memory.max")
    machine = host_memory()
    assert machine > 2**28
    (tmp_path / "memory.max").write_text("1000\n")
    assert host_memory() == 1000
    (tmp_path / "memory.max").write_text("max\n")
    assert host_memory() == machine
    check_fits(machine, "this")
    with pytest.raises(UserError, match=r"^this takes .* GiB, and this machine has .* GiB"):
        check_fits(machine + 1, "this")


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("data.image_size=100000", "data.image_size=100000 must be at most 65536 pixels"),
        ("data.image_size=60000", "batch_size=64: a batch of 60000x60000x1 images"),
        ("batch_size=2000000000", "batch_size=2000000000: a batch of 28x28x1 images"),
        ("evaluation.batch_size=2000000000", "evaluation.batch_size=2000000000: a batch"),
        ("batch_size=9" + "9" * 400, "batch_size=999"),
        ("model.options.hidden=(10000000000,)", "model: the state of its training takes"),
    ],
)
def test_what_does_not_fit_leaves_no_run_behind(setting, sentence, tmp_path, capsys):
    run = tmp_path / "run"
    assert main(["launch.py", "train", *TINY, f"--config.{setting}", f"--workdir={run}"]) == 1
    assert f"error: {sentence}" in capsys.readouterr().err
    assert not run.exists()


def test_many_images_that_fit_one_by_one(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(memory, "host_memory", lambda: 2**32)
    asked = ["--config.data.image_size=3000", "--config.batch_size=1"]
    assert main(["launch.py", "train", *TINY, *asked, f"--workdir={tmp_path}/run"]) == 1
    assert "data.image_size=3000: digits in memory takes 21.0 GiB" in capsys.readouterr().err


def test_summary_of_an_absurd_size(capsys):
    assert main(["launch.py", "summary", *TINY, "--input_size=1000000000"]) == 1
    assert "not an integer in the range [1, 65536]" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error",
    [MemoryError("Unable to allocate 713. TiB."), type("JaxRuntimeError", (Exception,), {})(
        "RESOURCE_EXHAUSTED: Out of memory allocating 31360000000000 bytes.")],
    ids=["numpy", "jax"],
)  # fmt: skip
def test_what_is_found_only_by_trying_is_one_sentence(error, monkeypatch, capsys):
    def fail(*_):
        raise error

    monkeypatch.setattr("cnnlab.cli.main._run_command", fail)
    assert main(["launch.py", "list"]) == 1
    assert capsys.readouterr().err.startswith("error: There is not enough memory: ")


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (["sweep", "--seed=-1", "--param=seed=range(3)"], "seed=-1 must be at least 0"),
        (["sweep", "--trials=1000000000", "--param=optimizer.learning_rate=log(1e-4, 1)"],
         "trials=1000000000: a dry run lists at most 10,000 trials"),
    ],
)  # fmt: skip
def test_sweeps_without_end(command, sentence, tmp_path, capsys):
    arguments = [*command, *TINY, f"--study={tmp_path}/s", "--dry_run", "--sampler=random"]
    assert main(["launch.py", *arguments]) == 1
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "s").exists()


def test_a_population_without_end(tmp_path, capsys):
    command = ["pbt", *TINY, "--param=optimizer.learning_rate=log(1e-4, 1)", "--every_steps=10"]
    asked = [*command, "--members=1000000", f"--study={tmp_path}/s"]
    assert main(["launch.py", *asked]) == 1
    assert "members=1000000 must be at most 10000" in capsys.readouterr().err
