"""SIGKILL at random moments of `train`: the run ends as the unbroken one does, without trash."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from cnnlab.config import apply_overrides, to_json
from cnnlab.train import fit
from cnnlab.train.checkpoints.remains import remove_remains
from cnnlab.train.runtime.workdir import Workdir
from tests.conftest import files_left
from tests.marks import exhaustive
from tests.train.test_loop import Quiet, assert_same_run

STEPS_PER_KILL = 12

# Imports once, then forks a process that trains for each line of input. A line with its number,
# then one for each row of training.
_TRAIN = """
import os, sys
from pathlib import Path
from cnnlab.storage.json_text import read_json
from cnnlab.config import from_json
from cnnlab.train import fit
from cnnlab.train.callbacks.progress import PlainDisplay

class Told(PlainDisplay):
    def note(self, text): pass
    def on_log(self, run, row): os.write(1, b"row %d\\n" % row["step"])
    def on_evaluation(self, run, row): pass

config = from_json(read_json(Path(sys.argv[1])))
for line in sys.stdin:
    child = os.fork()
    if not child:
        fit(config, sys.argv[2], callbacks=[Told()])
        os._exit(0)
    print("child", child, flush=True)
    _, status = os.waitpid(child, 0)
    print("ended", os.waitstatus_to_exitcode(status), flush=True)
"""


@pytest.mark.parametrize("kills", [3, exhaustive(40)])
def test_a_run_that_is_killed_again_and_again(tiny_config, tmp_path, kills):
    moments = random.Random(kills)
    config = apply_overrides(
        tiny_config,
        {
            "steps": kills * STEPS_PER_KILL,
            "log_every_steps": 3,
            "checkpoint.every_steps": 6,
            "augment.pad_crop": 1,
        },
    )
    fit(config, tmp_path / "whole", callbacks=[Quiet()])
    Workdir(tmp_path).write("config.json", to_json(config))
    killed = 0
    with subprocess.Popen(
        [sys.executable, "-c", _TRAIN, str(tmp_path / "config.json"), str(tmp_path / "parts")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
    ) as trainings:
        for number in range(kills + 1):
            trainings.stdin.write("train\n")
            trainings.stdin.flush()
            rows = moments.choice((0, 1, 3, 5)) if number < kills else None
            child = None
            for line in trainings.stdout:
                word, value = line.split()
                if word == "child":
                    child = int(value)
                    # Before the first row: somewhere between the import and the first step.
                    if rows == 0:
                        time.sleep(moments.uniform(0, 2))
                        os.kill(child, signal.SIGKILL)
                elif word == "row" and rows:
                    rows -= 1
                    if rows == 0:
                        time.sleep(moments.uniform(0, 0.05))
                        os.kill(child, signal.SIGKILL)
                elif word == "ended":
                    assert int(value) in (0, -signal.SIGKILL)
                    killed += int(value) != 0
                    break
        trainings.stdin.close()
    assert killed > kills / 2
    assert_same_run(config, tmp_path / "whole", tmp_path / "parts")
    assert files_left(tmp_path / "parts") == files_left(tmp_path / "whole")


def test_remains_of_a_run_that_will_not_start_again(tiny_config, tmp_path):
    run = tmp_path / "run"
    fit(apply_overrides(tiny_config, {"steps": 4}), run, callbacks=[Quiet()])
    before = {path for path in run.rglob("*")}
    remains = [
        run / "checkpoints" / "9.orbax-checkpoint-tmp-1" / "d",
        run / "checkpoints" / ".deleted" / "2",
    ]
    for path in remains:
        path.mkdir(parents=True)
    (run / ".result.json.tmp").write_text("{")
    remove_remains(run)
    assert {path for path in run.rglob("*")} == before
    remove_remains(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()
