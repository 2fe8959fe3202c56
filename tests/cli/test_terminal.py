"""What is printed: names are shown as they are and not obeyed; a closed pipe ends like Ctrl-C."""

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cnnlab
from cnnlab.cli.main import main
from cnnlab.cli.terminal import Output
from cnnlab.visible import visible

ROOT = Path(cnnlab.__file__).parent.parent
TINY = [
    "--config=mlp_digits", "--config.epochs=none", "--config.num_devices=1", "--config.steps=2",
    "--config.data.image_size=8", "--config.model.options.hidden=(6,)",
]  # fmt: skip
# Clears the screen, sets the title, goes back, reverses what follows, is no UTF-8.
EVIL = "a\x1b[2J\x1b]0;title\x07\rb\u202ec\udcff"
SHOWN = r"a\x1b[2J\x1b]0;title\x07\x0db\u202ec\xff"


def test_what_a_terminal_would_obey_is_shown():
    assert visible(EVIL) == SHOWN
    for plain in ("plain", "Ärzte, naïve, 猫, 🐈\n\ttwo lines", "می\u200cخواهم"):
        assert visible(plain) == plain


def test_progress_bars_still_move_the_cursor():
    stream = io.StringIO()
    bars = Output(stream, progress_bars=True)
    for text in ("\n", "\r 10 % of \x1b[1m", "\x1b[A\x1b[A"):
        bars.write(text)
    assert stream.getvalue() == "\n\r 10 % of \\x1b[1m\x1b[A\x1b[A"
    Output(stream := io.StringIO()).write("\x1b[A")
    assert stream.getvalue() == r"\x1b[A"


def test_names_in_errors_and_results(tmp_path, capsys):
    assert main(["launch.py", EVIL]) == 1
    assert f"Unknown command '{SHOWN}'" in capsys.readouterr().err
    for name in (EVIL, "other"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for index in range(10):
            pixels = np.full((8, 8), 20 * index + len(name), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / name / f"{index}.png")
    run = f"--workdir={tmp_path}/run"
    data = f"--config.data.name=folder:{tmp_path}/data"
    assert main(["launch.py", "train", *TINY, data, run, "--config.batch_size=4"]) == 0
    assert main(["launch.py", "eval", run]) == 0
    image = f"{tmp_path}/data/{EVIL}/1.png"
    assert main(["launch.py", "predict", run, image]) == 0
    printed = capsys.readouterr()
    assert printed.out.count(SHOWN) >= 3
    assert not {"\x1b", "\x07", "\u202e", "\udcff"} & set(printed.out + printed.err)
    assert main(["launch.py", "predict", run, image, "--json"]) == 0
    prediction = json.loads(capsys.readouterr().out)["predictions"][0]
    assert prediction["image"] == image


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """A run on data whose folder, classes and files have names that are not UTF-8."""
    place = tmp_path_factory.mktemp("odd")
    for label, name in enumerate(("c\udcfe", "other")):
        (place / "data\udcff" / name).mkdir(parents=True)
        for index in range(12):
            pixels = np.full((8, 8), 120 * label + 9 * index, np.uint8)
            Image.fromarray(pixels).save(place / "data\udcff" / name / f"\udce9{index}.png")
    data = [*TINY, f"--config.data.name=folder:{place}/data\udcff", "--config.batch_size=4"]
    assert main(["launch.py", "train", *data, f"--workdir={place}/run"]) == 0
    return place, data


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        ["train", "{run}"],
        ["eval", "{run}", "--data=folder:{place}/data\udcff/."],
        ["predict", "{run}", "{place}/data\udcff", "--table={out}/t.csv"],
        ["features", "{run}", "{place}/data\udcff/c\udcfe/\udce90.png", "--out={out}/f.npz"],
        ["analyze", "confusion", "{run}", "--out={out}/c.png"],
        ["analyze", "curves", "{place}/run", "--out={out}/c.png"],
        ["report", "{place}/run", "--out={out}/r.html"],
    ],
    ids=lambda command: " ".join(command[:2]).replace("{run}", ""),
)
def test_names_that_are_not_utf8_in_every_command(odd, tmp_path, command):
    place, _ = odd
    places = {"run": f"--workdir={place}/run", "place": place, "out": tmp_path}
    assert main(["launch.py", *(word.format(**places) for word in command)]) == 0


@pytest.mark.slow
def test_names_that_are_not_utf8_in_a_study(odd, tmp_path):
    """Its page, table and best experiment; trained again."""
    _, data = odd
    study = f"--study={tmp_path}/study"
    space = "--param=optimizer.learning_rate=[0.1, 0.01]"
    assert main(["launch.py", "sweep", *data, study, space, "--sampler=grid"]) == 0
    assert main(["launch.py", "sweep", study, "--status"]) == 0
    best = f"--config={tmp_path}/study/best.py"
    assert main(["launch.py", "train", best, f"--workdir={tmp_path}/best"]) == 0


@pytest.mark.parametrize(
    "command", [["train", "--workdir"], ["sweep", "--param=seed=[0]", "--study"]]
)
def test_folders_of_runs_are_utf8(tmp_path, capsys, command):
    *command, flag = command
    assert main(["launch.py", *command, *TINY, f"{flag}={tmp_path}/a\udcff"]) == 1
    assert rf"{flag}={tmp_path}/a\xff is not UTF-8: choose another name." in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def launch(*arguments, **options):
    return subprocess.Popen(
        [sys.executable, ROOT / "launch.py", *arguments], stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, **options,
    )  # fmt: skip


def test_a_closed_pipe_saves_as_ctrl_c_does(tmp_path):
    steps = ["--config.steps=1000000", "--config.log_every_steps=1"]
    command = ["train", *TINY, *steps, f"--workdir={tmp_path}"]
    process = launch(*command, stdout=subprocess.PIPE)
    for line in process.stdout:
        if line.startswith("step "):
            break
    process.stdout.close()
    errors = process.stderr.read()
    assert process.wait() == 128 + signal.SIGINT, errors
    assert "everything up to it is saved" in errors
    assert "Traceback" not in errors
    rows = (tmp_path / "metrics.jsonl").read_text().splitlines()
    last = json.loads(rows[-1])["step"]
    assert (tmp_path / "checkpoints" / str(last)).is_dir()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("interrupt", [signal.SIG_DFL, signal.SIG_IGN])
def test_output_that_cannot_be_written_is_one_sentence(interrupt):
    """Also in the background of a script, where SIGINT is ignored."""
    with open("/dev/full", "w") as full:
        process = launch(
            "list",
            "experiments",
            stdout=full,
            preexec_fn=lambda: signal.signal(signal.SIGINT, interrupt),
        )
        _, errors = process.communicate()
    assert process.returncode == 128 + signal.SIGINT
    assert errors == "error: The output cannot be written: No space left on device.\n"


def test_without_a_standard_output_no_file_takes_its_place(tmp_path):
    command = [sys.executable, str(ROOT / "launch.py"), "list", "experiments"]
    closed = subprocess.run(
        ["sh", "-c", '"$@" >&-', "sh", *command], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert (closed.returncode, closed.stderr) == (0, "")
