"""launch.py pbt, called as a user calls it."""

import json

import pytest

from cnnlab.cli.main import main

TINY = [
    "--config=mlp_digits", "--config.epochs=none", "--config.steps=16", "--config.num_devices=1",
    "--config.data.image_size=8", "--config.evaluation.metric=loss",
]  # fmt: skip
RATE = "--param=optimizer.learning_rate=log(1e-3, 1e-1)"


def launch(*arguments):
    return main(["launch.py", "pbt", *TINY, *arguments])


def test_a_population_from_its_start_to_its_schedule(tmp_path, capsys):
    asked = [RATE, "--every_steps=4", "--members=3", f"--study={tmp_path}", "--mode=vmap"]
    assert launch(*asked) == 0
    out = capsys.readouterr().out
    assert out.count(" copies ") == 3  # after steps 4, 8 and 12
    assert "from step 0 " in out
    assert (tmp_path / "population.png").stat().st_size > 0

    assert launch(*asked, "--json") == 0  # nothing is left to do
    result = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    best = f"{result['best_member']:02}"
    assert f"eval --workdir={tmp_path}/members/{best}" in out
    assert main(["launch.py", "eval", f"--workdir={tmp_path}/members/{best}"]) == 0


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        ([RATE], "Set --every_steps"),
        (["--every_steps=4"], "The space is empty"),
        ([RATE, RATE, "--every_steps=4"], "is there twice"),
        (["--param=batch_size=uniform(8, 16)", "--every_steps=4"], "'batch_size' cannot change"),
        ([RATE, "--every_steps=4", "--mode=pmap"], "auto|vmap|shared"),
    ],
)
def test_mistakes(tmp_path, capsys, flags, sentence):
    assert launch(*flags, f"--study={tmp_path}/new") == 1
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "new" / "members").exists()
