"""The command line, called as a user calls it: output, exit status, one sentence for a mistake."""

import csv
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from cnnlab.cli.help import field_meanings
from cnnlab.cli.main import COMMANDS, main
from cnnlab.config import Config
from cnnlab.config.overrides import describe_fields

TINY = [
    "--config=mlp_digits", "--config.epochs=none", "--config.steps=6", "--config.num_devices=1",
    "--config.log_every_steps=3", "--config.data.image_size=8",
]  # fmt: skip


def launch(*arguments):
    return main(["launch.py", *arguments])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run of six steps."""
    workdir = tmp_path_factory.mktemp("cli") / "run"
    assert launch("train", *TINY, f"--workdir={workdir}") == 0
    return workdir


def last_json(capsys):
    return json.loads(capsys.readouterr().out.strip().splitlines()[-1])


def test_train_says_what_it_did_and_what_to_do_next(tmp_path, capsys):
    assert launch("train", *TINY, f"--workdir={tmp_path}/run") == 0
    out = capsys.readouterr().out
    assert "optimizer   name=adamw learning_rate=0.001" in out
    assert "test: loss" in out
    assert f"python launch.py eval --workdir={tmp_path}/run" in out
    for picture in ("curves.png", "confusion_matrix.png"):
        with Image.open(tmp_path / "run" / picture) as image:
            assert min(image.size) > 400


def test_train_again_is_complete(run, capsys):
    assert launch("train", f"--workdir={run}") == 0
    assert "nothing is left to train" in capsys.readouterr().out


def test_train_with_another_config_shows_the_difference(run, capsys):
    assert launch("train", *TINY, f"--workdir={run}", "--config.seed=3") == 1
    assert "seed: 0 -> 3" in capsys.readouterr().err


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_eval_as_json(run, capsys, split):
    assert launch("eval", f"--workdir={run}", f"--split={split}", "--json") == 0
    numbers = last_json(capsys)
    assert numbers["split"] == split
    assert numbers["num_examples"] == {"train": 1295, "validation": 143, "test": 359}[split]
    assert 0 <= numbers["accuracy"] <= numbers["top5"] <= 1
    assert len(numbers["per_class_accuracy"]) == 10


def test_eval_agrees_with_training(run, capsys):
    launch("eval", f"--workdir={run}", "--json")
    result = json.loads((run / "result.json").read_text())
    assert last_json(capsys)["accuracy"] == pytest.approx(result["test"]["accuracy"])


def test_eval_as_table(run, capsys):
    assert launch("eval", f"--workdir={run}", "--checkpoint=latest") == 0
    assert "accuracy of '7'" in capsys.readouterr().out


def test_predict(run, tmp_path, capsys):
    path = tmp_path / "digit.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8)).save(path)
    assert launch("predict", f"--workdir={run}", str(path), str(path), "--top=3", "--json") == 0
    predictions = last_json(capsys)["predictions"]
    assert [p["image"] for p in predictions] == [str(path)] * 2
    probabilities = [entry["probability"] for entry in predictions[0]["top"]]
    assert len(probabilities) == 3
    assert probabilities == sorted(probabilities, reverse=True)
    assert launch("predict", f"--workdir={run}", str(path)) == 0
    assert " %  " in capsys.readouterr().out


def test_predict_a_folder_into_tables(run, tmp_path, capsys):
    """Every image below a folder, or that a pattern matches; what is no image is counted."""
    for name in ("a.png", "b/c.png", "b/d.PNG"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (9, 9), len(name)).save(tmp_path / "in" / name)
    (tmp_path / "in" / "notes.txt").touch()
    table = tmp_path / "p.csv"
    arguments = ["predict", f"--workdir={run}", f"{tmp_path}/in", "--json"]
    assert launch(*arguments, "--top=2", f"--table={table}") == 0
    shown = capsys.readouterr()
    assert "3 images; left out: 1 of type .txt." in shown.err
    predictions = json.loads(shown.out)["predictions"]
    names = [f"{tmp_path}/in/{name}" for name in ("a.png", "b/c.png", "b/d.PNG")]
    assert [prediction["image"] for prediction in predictions] == names
    rows = list(csv.DictReader(table.open()))
    assert list(rows[0]) == ["path", "label", "probability", "label_2", "probability_2"]
    assert [row["path"] for row in rows] == names
    for row, prediction in zip(rows, predictions, strict=True):
        first, second = prediction["top"]
        assert (row["label"], row["label_2"]) == (first["class"], second["class"])
        assert float(row["probability_2"]) == second["probability"]
    lines = tmp_path / "p.jsonl"
    pattern = f"{tmp_path}/in/*/*.png"
    assert launch(*arguments[:2], pattern, "--top=2", f"--table={lines}") == 0
    assert list(map(json.loads, lines.read_text().splitlines())) == predictions[1:2]
    assert f"{names[1]}\n" in capsys.readouterr().out


def test_a_table_is_written_whole_or_not_at_all(run, tmp_path, capsys):
    Image.new("L", (9, 9)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"broken")
    table = tmp_path / "p.csv"
    table.write_text("before")
    assert launch("predict", f"--workdir={run}", str(tmp_path), f"--table={table}") == 1
    assert "b.png' cannot be read as an image" in capsys.readouterr().err
    assert table.read_text() == "before"
    assert len(list(tmp_path.iterdir())) == 3


def test_summary(capsys):
    arguments = ("--config.model.name=resnet18", "--input_size=224", "--channels=3")
    assert launch("summary", *arguments, "--classes=1000", "--json") == 0
    numbers = last_json(capsys)
    assert numbers["num_parameters"] == 11_689_512
    assert launch("summary") == 0
    shown = capsys.readouterr()
    assert "61,706" in shown.out
    assert shown.err.startswith("data: digits: 1,295 train, 359 test, 143 validation images")


@pytest.mark.parametrize(
    ("kind", "name"),
    [("models", "resnet50"), ("datasets", "fashion_mnist"), ("experiments", "lenet_digits"),
     ("optimizers", "adamw")],
)  # fmt: skip
def test_list(kind, name, capsys):
    assert launch("list", kind) == 0
    assert any(line.startswith(name) for line in capsys.readouterr().out.splitlines())
    assert launch("list", kind, f"{name[:3]}*") == 0


def test_models_are_listed_by_family_with_size_and_cost(capsys):
    assert launch("list", "models", "*lenet*") == 0
    lines = capsys.readouterr().out.splitlines()
    family = lines.index(next(line for line in lines if line.startswith("LeNet (LeCun")))
    assert [line.split()[0] for line in lines[family + 1 : family + 4]] == [
        "lenet5", "lenet", "lenet_relu"
    ]  # fmt: skip
    assert lines[family + 2].split() == ["lenet", "28x1", "10", "61.7", "k", "417", "k"]
    assert next(line for line in lines if line.startswith("googlenet ")).endswith("yes")
    assert launch("list", "models", "lenet", "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row.pop("description").startswith("LeNet")
    assert row == {
        "name": "lenet", "family": "lenet", "task": "classification", "image_shape": [28, 28, 1],
        "num_classes": 10, "params": 61706, "macs": 416520, "weights": False,
    }  # fmt: skip


def test_find_lr(tmp_path, capsys):
    picture = tmp_path / "lr.png"
    assert launch("find_lr", "--config=mlp_digits", "--config.data.image_size=8",
                  "--config.optimizer.name=sgd", "--config.optimizer.weight_decay=0",
                  f"--out={picture}", "--json") == 0  # fmt: skip
    shown = capsys.readouterr()
    assert 1e-4 < json.loads(shown.out)["suggestion"] < 10
    assert shown.err.startswith("data: digits: ")
    assert picture.is_file()


def test_help_of_the_program_and_of_each_command(capsys):
    for arguments in (["--help"], ["help"], *([name, "--help"] for name in COMMANDS)):
        assert launch(*arguments) == 0
        out = capsys.readouterr().out
        assert "usage: python launch.py" in out
    assert launch("train", "--help") == 0
    lines = capsys.readouterr().out.splitlines()
    at = lines.index("  --config.optimizer.learning_rate=0.1")
    assert lines[at + 1] == "      the schedule's peak."
    assert max(map(len, lines)) <= 100


def test_outside_of_a_clone_commands_begin_with_cnnlab(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("cnnlab.program._CLONE", tmp_path)
    assert launch("train", f"--workdir={run}") == 0
    assert launch("train", "--help") == 0
    assert launch("train", "--learning_rate=1") == 1
    found = capsys.readouterr()
    assert f"  cnnlab eval --workdir={run}" in found.out
    assert "usage: cnnlab train" in found.out
    assert "See 'cnnlab train --help'." in found.err
    assert "launch.py" not in found.out + found.err


def test_in_a_clone_the_installed_command_speaks_of_itself(run, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["/somewhere/bin/cnnlab"])
    assert launch("train", f"--workdir={run}") == 0
    assert f"  cnnlab eval --workdir={run}" in capsys.readouterr().out


def test_without_arguments_cnnlab_prints_help_and_launch_py_trains(capsys, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "cnnlab.cli.main._run_command", lambda name, rest: asked.append((name, rest))
    )
    main(["/somewhere/bin/cnnlab"])
    assert "\ncommands:\n  train " in capsys.readouterr().out
    assert not asked
    main(["launch.py"])
    assert asked == [("train", [])]


def test_help_means_every_field():
    meanings = field_meanings(Config())
    assert {path.removesuffix(".NAME") for path, _ in describe_fields(Config())} == set(meanings)
    assert all(len(meaning) > 8 for meaning in meanings.values()), meanings


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["trian"], "Unknown command 'trian'. Did you mean 'train'?"),
        (["train", "--workdr=x"], "workdr"),
        (["train", "--config=lenet_digit"], "Did you mean 'lenet_digits'"),
        (["train", "--config=nowhere.py"], "there is no file 'nowhere.py'"),
        (["train", "--config.sed=1"], "no field 'sed'. Did you mean 'seed'"),
        (["train", "--config.seed"], "--config.seed needs a value"),
        (["train", "--config.seed=x"], "seed='x' is not a whole number"),
        (["train", "--config.model.name=lenett"], "Did you mean 'lenet"),
        (["train", "--config.optimizer.name=sdg"], "Unknown optimizer 'sdg'. Did you mean 'sgd'"),
        (["train", "--config.data.name=folder:/nowhere"], "there is no such folder"),
        (["train", "--config.model.options.dropout_rate=x"], "dropout_rate='x' is not a number"),
        (["summary", "--config.model.options.dropout_rate=x"], "dropout_rate='x' is not a number"),
        (["train", "something"], "takes flags only, got 'something'"),
        (["eval"], "--workdir must be set"),
        (["eval", "--workdir=nowhere"], "There is no run in nowhere"),
        (["eval", "--workdir=nowhere", "--config.seed=1"], "'eval' takes no --config.* flags"),
        (["predict", "--workdir=nowhere"], "needs at least one image"),
        (["predict", "--workdir=nowhere", "--top=0", "x.png"], "--top=0"),
        (["list"], "list what?"),
        (["list", "modles"], "Did you mean 'models'"),
        (["list", "models", "zzz*"], "None of the models matches 'zzz*'"),
        (["prepare"], "--dataset must be set"),
        (["prepare", "--dataset=fashion_mnst"], "Did you mean 'fashion_mnist'"),
        (["summary", "--input_size=16", "--config.model.name=resnet18"], "smallest size is 33x33"),
        (["find_lr", "--steps=3"], "num_steps=3 is too few"),
    ],
)
def test_mistakes(arguments, sentence, capsys, tmp_path, monkeypatch):
    """One sentence on standard error, no traceback, status 1."""
    if arguments[0] == "train":
        arguments = [*arguments, f"--workdir={tmp_path}/run"]
    assert launch(*arguments) == 1
    captured = capsys.readouterr()
    assert sentence in captured.err
    assert captured.err.startswith("error: ")
    assert "Traceback" not in captured.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["eval", "--split=tset"], "Did you mean 'test'"),
        (["eval", "--checkpoint=last"], "must be best, latest or a step"),
        (["eval", "--checkpoint=5"], "Checkpoint 5 in"),
        (["predict", "nothing.png"], "There is no image 'nothing.png'"),
        (["predict", "{corrupt}"], "cannot be read as an image"),
        (["predict", "--out=x", "x.png"], "--out is for segmentation"),
        (["predict", "--tile=64", "x.png"], "--tile is for segmentation"),
        (["predict", "--table=x.txt", "x.png"], "--table=x.txt must end with .csv or .jsonl"),
        (["predict", "--table=no/x.csv", "x.png"], "--table=no/x.csv: there is no folder 'no'"),
        (["predict", "no/*.png"], "'no/*.png' matches no file"),
        (["predict", "cnnlab"], "'cnnlab' has no images (of types"),
    ],
)
def test_mistakes_with_a_run(run, arguments, sentence, capsys, tmp_path):
    corrupt = tmp_path / "corrupt.png"
    corrupt.write_bytes(b"\x89PNG\r\n\x1a\n broken")
    arguments = [argument.format(corrupt=corrupt) for argument in arguments]
    assert launch(arguments[0], f"--workdir={run}", *arguments[1:]) == 1
    assert sentence in capsys.readouterr().err


def test_damaged_checkpoint_is_passed_over_loudly(run, tmp_path, capsys):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    steps = sorted(int(p.name) for p in (copy / "checkpoints").iterdir() if p.name.isdigit())
    data = max((copy / "checkpoints" / str(steps[-1])).rglob("*"), key=lambda p: p.stat().st_size)
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 1
    data.write_bytes(content)
    assert launch("eval", f"--workdir={copy}", "--checkpoint=latest", "--json") == 1
    assert "damaged" in capsys.readouterr().err


def test_run_without_checkpoint(run, tmp_path, capsys):
    copy = tmp_path / "run"
    shutil.copytree(run, copy, ignore=shutil.ignore_patterns("checkpoints"))
    assert launch("eval", f"--workdir={copy}") == 1
    assert "There is no checkpoint" in capsys.readouterr().err


def test_damaged_config(run, tmp_path, capsys):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    (copy / "config.json").write_text("{")
    assert launch("eval", f"--workdir={copy}") == 1
    assert "config.json is damaged" in capsys.readouterr().err
