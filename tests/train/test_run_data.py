"""A run owns the description of its data: no score changes silently when the folder does."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from cnnlab import classical
from cnnlab.cli.main import main
from cnnlab.config import apply_overrides
from cnnlab.errors import UserError
from cnnlab.inference import load_run
from cnnlab.inference.run import evaluate_run
from cnnlab.sweep import fit_group
from cnnlab.train import Interrupted, fit, loop
from cnnlab.train.runtime.workdir import Workdir
from tests.train.test_loop import Quiet, assert_same_run, terminate

PER_CLASS = 40


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path)


def launch(*arguments):
    return main(["launch.py", *arguments])


def digits(digit):
    data = load_digits()
    return (data.images[data.target == digit] * (255 / 16)).round()


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A folder of two classes without splits."""
    folder = tmp_path_factory.mktemp("digits")
    for name, digit in (("b", 3), ("c", 7)):
        for index, image in enumerate(digits(digit)[:PER_CLASS]):
            write(folder / name / f"{index:03}.png", image)
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Where every test finds the data and the run as they were at first."""
    return tmp_path_factory.mktemp("place")


@pytest.fixture
def data(original, place):
    shutil.rmtree(place / "data", ignore_errors=True)
    return shutil.copytree(original, place / "data")


@pytest.fixture
def config(tiny_config, data):
    return apply_overrides(
        tiny_config, {"data.name": f"folder:{data}", "data.image_size": None, "batch_size": 16}
    )


@pytest.fixture
def workdir(config, place):
    """A run on the data, which is trained once; each test has a copy in the same place."""
    if not (place / "pristine").exists():
        fit(config, place / "pristine", callbacks=[Quiet()])
    shutil.rmtree(place / "run", ignore_errors=True)
    return shutil.copytree(place / "pristine", place / "run")


def rename_a_class(data):
    (data / "b").rename(data / "z")


def add_a_class(data):
    write(data / "a" / "0.png", np.zeros((8, 8)))
    write(data / "a" / "1.png", np.zeros((8, 8)))


def add_an_image_of_another_size(data):
    write(data / "b" / "wide.png", np.full((8, 10), 200))


def add_five_images_per_class(data):
    for name, digit in (("b", 3), ("c", 7)):
        for index, image in enumerate(digits(digit)[PER_CLASS : PER_CLASS + 5]):
            write(data / name / f"new{index}.png", image)


ACCEPTED = [add_an_image_of_another_size, add_five_images_per_class]
REFUSED = {
    rename_a_class: "'b' is missing and 'z' is new",
    add_a_class: "'a' is new",
}


@pytest.mark.parametrize("change", ACCEPTED)
@pytest.mark.parametrize("split", ["test", "validation", "train"])
def test_added_images_leave_the_scores_as_they_were(data, workdir, change, split):
    before = evaluate_run(load_run(workdir), split)
    change(data)
    told = []
    assert evaluate_run(load_run(workdir), split, report=told.append) == before
    assert told[0].startswith(f"data: folder:{data}: ")
    assert "added since the run was started" in told[-1]


@pytest.mark.parametrize("change", REFUSED)
def test_other_classes_are_refused(config, data, workdir, change):
    described = (workdir / "dataset.json").read_bytes()
    change(data)
    with pytest.raises(UserError, match=REFUSED[change]):
        evaluate_run(load_run(workdir))
    with pytest.raises(UserError, match=REFUSED[change]):
        fit(config, workdir, callbacks=[Quiet()])
    assert (workdir / "dataset.json").read_bytes() == described


@pytest.mark.parametrize("change", REFUSED)
@pytest.mark.parametrize(
    "command",
    [
        ["eval"],
        ["features", "--out={out}"],
        ["analyze", "mistakes", "--out={out}.png"],
        ["train"],
    ],
)
def test_every_command_refuses_other_classes(data, workdir, tmp_path, capsys, change, command):
    change(data)
    arguments = [argument.format(out=tmp_path / "x.npz") for argument in command]
    assert launch(*arguments, f"--workdir={workdir}") == 1
    assert REFUSED[change] in capsys.readouterr().err


def test_prediction_keeps_the_labels_of_the_run(data, workdir, capsys):
    """It reads no other image than the one it is given."""
    image = data / "b" / "000.png"
    before = load_run(workdir)
    rename_a_class(data)
    assert launch("predict", f"--workdir={workdir}", str(data / "z" / image.name), "--json") == 0
    (prediction,) = json.loads(capsys.readouterr().out.splitlines()[-1])["predictions"]
    assert {entry["class"] for entry in prediction["top"]} == {"b", "c"}
    assert before.info.class_names == ("b", "c")


def test_a_run_is_scored_on_another_data_set(workdir, data, tmp_path, capsys):
    """All of a folder without splits, labelled by class name; the run's own data are not read."""
    shutil.rmtree(data)
    for index, image in enumerate(digits(7)[100:110]):
        write(tmp_path / "seven" / "c" / f"{index}.png", image)
    command = ["eval", f"--workdir={workdir}", f"--data=folder:{tmp_path}/seven"]
    assert launch(*command, "--json") == 0
    shown = capsys.readouterr()
    numbers = json.loads(shown.out)
    assert (numbers["num_examples"], numbers["split"]) == (10, "all")
    assert list(numbers["per_class_accuracy"]) == ["b", "c"]
    assert numbers["per_class_accuracy"]["b"] is None
    assert numbers["per_class_accuracy"]["c"] == numbers["accuracy"]
    run = load_run(workdir)
    images = np.array(digits(7)[100:110], np.uint8)[..., None]
    right = run.probabilities(images).argmax(-1) == run.info.class_names.index("c")
    assert numbers["accuracy"] == pytest.approx(right.mean())
    assert f"data: folder:{tmp_path}/seven: 10 images of 8x8x1" in shown.err
    assert launch(*command) == 0
    assert "all images, weights of step" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("folder:{data}", "is the run's own data set"),
        ("folder:{other}", "classes that the run does not know: 'z' is not among b, c"),
        ("folder:{deep}", "its images are uint16 of 8x8x1, and those of the run uint8 of 8x8x1"),
        ("folder:{nowhere}", "there is no such folder"),
        ("digits", "classes that the run does not know: '0', '1', '2', '3', '4' and others are"),
    ],
)
def test_data_that_a_run_cannot_be_scored_on(workdir, data, tmp_path, capsys, name, sentence):
    write(tmp_path / "other" / "b" / "0.png", digits(3)[0])
    write(tmp_path / "other" / "z" / "0.png", digits(3)[0])
    for folder in ("b", "c"):
        (tmp_path / "deep" / folder).mkdir(parents=True)
        Image.fromarray(np.ones((8, 8), np.uint16)).save(tmp_path / "deep" / folder / "0.png")
    places = {place: tmp_path / place for place in ("other", "deep", "nowhere")}
    asked = name.format(data=data, **places)
    assert launch("eval", f"--workdir={workdir}", f"--data={asked}") == 1
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize("change", ACCEPTED)
def test_a_run_resumed_after_images_were_added_equals_the_unbroken_one(
    config, data, tmp_path, change
):
    fit(config, tmp_path / "whole", callbacks=[Quiet()])
    with pytest.raises(Interrupted):
        fit(config, tmp_path / "parts", callbacks=[Quiet(10, terminate)])
    described = (tmp_path / "parts" / "dataset.json").read_bytes()
    change(data)
    display = Quiet()
    fit(config, tmp_path / "parts", callbacks=[display])
    assert any("left out" in note for note in display.notes)
    assert_same_run(config, tmp_path / "whole", tmp_path / "parts")
    assert (tmp_path / "parts" / "dataset.json").read_bytes() == described


def test_a_new_run_takes_the_added_images(config, data, workdir, tmp_path):
    before = Workdir(workdir).dataset_record()
    add_five_images_per_class(data)
    fit(config, tmp_path / "new", callbacks=[Quiet()])
    after = Workdir(tmp_path / "new").dataset_record()
    assert sum(after.info.num_examples.values()) == 2 * PER_CLASS + 10
    for split, paths in before.paths.items():
        assert set(paths) == {path for path in after.paths[split] if "new" not in path}


def test_members_of_a_population_refuse_other_data(config, data, workdir):
    """Their data are loaded once for all, so that a member cannot have its own."""
    add_five_images_per_class(data)
    (outcome,) = fit_group([config], [workdir])
    assert "holds a run that was started with other data: its num_examples differ" in str(outcome)


def test_a_baseline_owns_its_data_too(config, data, tmp_path):
    config = apply_overrides(
        config, {"model.name": "hog", "model.options": {"cell_size": 4}, "data.image_size": 8}
    )
    classical.fit(config, tmp_path / "hog")
    before = evaluate_run(classical.load_run(tmp_path / "hog"))
    add_five_images_per_class(data)
    assert evaluate_run(classical.load_run(tmp_path / "hog"), report=lambda _: None) == before
    rename_a_class(data)
    with pytest.raises(UserError, match="'z' is new"):
        evaluate_run(classical.load_run(tmp_path / "hog"))


def test_a_start_that_was_overtaken_by_another_config_is_refused(config, tmp_path, monkeypatch):
    """The other run begins and ends after this one has looked at the folder."""
    other = apply_overrides(config, {"seed": 1})
    load_data = loop.load_data

    def slowly(*arguments):
        monkeypatch.setattr(loop, "load_data", load_data)
        fit(config, tmp_path / "run", callbacks=[Quiet()])
        return load_data(*arguments)

    monkeypatch.setattr(loop, "load_data", slowly)
    with pytest.raises(UserError, match="holds a run with another config"):
        fit(other, tmp_path / "run", callbacks=[Quiet()])
    assert Workdir(tmp_path / "run").config().seed == 0
    assert len(json.loads((tmp_path / "run" / "environment.json").read_text())) == 1


def test_a_start_that_was_overtaken_by_other_data_is_refused(config, data, tmp_path, monkeypatch):
    load_data = loop.load_data

    def slowly(*arguments):
        dataset = load_data(*arguments)
        monkeypatch.setattr(loop, "load_data", load_data)
        add_five_images_per_class(data)
        fit(config, tmp_path / "run", callbacks=[Quiet()])
        return dataset

    monkeypatch.setattr(loop, "load_data", slowly)
    with pytest.raises(UserError, match="started with other data: its num_examples differ"):
        fit(config, tmp_path / "run", callbacks=[Quiet()])


def test_a_damaged_list_of_examples_is_named(workdir):
    (workdir / "examples.npz").write_bytes(b"no archive")
    with pytest.raises(UserError, match=r"examples\.npz is damaged"):
        load_run(workdir)


@pytest.mark.parametrize("path", ["az://bucket/run", Path("file:///run")])
def test_another_address_is_no_folder_of_the_name_of_its_scheme(path):
    with pytest.raises(UserError, match=r"should be a path, or begin with s3:// or gs://"):
        Workdir(path)


def test_a_lost_list_of_examples_is_named(workdir):
    (workdir / "examples.npz").unlink()
    with pytest.raises(UserError, match=r"examples\.npz is missing"):
        load_run(workdir)


EDITS = {
    "seed": ("config.json", lambda tree: tree.update(seed=1)),
    "rate": ("config.json", lambda tree: tree["optimizer"].update(learning_rate=0.9)),
    "key": ("config.json", lambda tree: tree["optimizer"].pop("learning_rate")),
    "mean": ("dataset.json", lambda tree: tree.update(mean=[0.123])),
    "order": ("dataset.json", lambda tree: tree["class_names"].reverse()),
}


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("checksums", [True, False])
def test_an_edited_description_is_named_by_every_command(workdir, capsys, edit, checksums):
    """By the checksums of the folder, and where those are lost by the checkpoints."""
    name, change = EDITS[edit]
    tree = json.loads((workdir / name).read_text())
    change(tree)
    (workdir / name).write_text(json.dumps(tree))
    if not checksums:
        (workdir / "checksums.sha256").unlink()
    for command in (["eval"], ["train"]):
        assert launch(*command, f"--workdir={workdir}") == 1
        said = capsys.readouterr().err
        assert name in said and ("edited" in said) and said.count("\n") == 1


def test_checkpoints_of_another_run_are_not_taken(config, workdir, tmp_path):
    fit(apply_overrides(config, {"seed": 5}), tmp_path / "other", callbacks=[Quiet()])
    shutil.rmtree(workdir / "checkpoints")
    shutil.copytree(tmp_path / "other" / "checkpoints", workdir / "checkpoints")
    with pytest.raises(UserError, match=r"config\.json differs .* checkpoints of another run"):
        load_run(workdir)
