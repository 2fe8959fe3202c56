"""Plugins: what a run records of them, and what is said where one is missing or has changed."""

import shutil
from pathlib import Path

import pytest

from cnnlab import plugins
from cnnlab.cli.main import main
from cnnlab.config import Config, apply_overrides, load_experiment, to_json, with_plugins
from cnnlab.errors import UserError
from cnnlab.models import create_model
from cnnlab.registry import MODELS
from cnnlab.train.runtime.workdir import Workdir

EXPERIMENT = Path(__file__).with_name("my_experiment.py")


def write_plugin(path, model="plugged", body="None"):
    path.write_text(
        f"""
import cnnlab
from cnnlab.config import Config, ModelConfig

@cnnlab.register_model("{model}")
def make(*, num_classes, dtype, width=8):
    '''A network that is no network.'''
    return {body}

def get_config():
    return Config(model=ModelConfig("{model}"))
"""
    )
    return path


def test_an_experiment_records_its_file_with_its_digest(tmp_path, registered):
    path = write_plugin(tmp_path / "mine.py")
    config = load_experiment(str(path))
    assert config.plugins == (f"{path}#sha256={plugins.file_digest(path)}",)
    assert load_experiment(str(path)).plugins == config.plugins  # executed once, found twice


def test_an_experiment_records_the_module_that_it_imports(tmp_path, registered):
    write_plugin(tmp_path / "my_models_of_a_test.py")
    experiment = tmp_path / "recipe.py"
    experiment.write_text(
        "import my_models_of_a_test\n"
        "def get_config():\n    return my_models_of_a_test.get_config()\n"
    )
    config = load_experiment(str(experiment))
    path = tmp_path / "my_models_of_a_test.py"
    assert config.plugins == (f"{path}#sha256={plugins.file_digest(path)}",)


def test_an_experiment_that_registers_nothing_records_nothing():
    assert load_experiment("lenet_digits").plugins == ()


def test_a_name_from_the_same_process_is_recorded(tmp_path, registered):
    path = write_plugin(tmp_path / "mine.py")
    plugins.execute_file(path)
    named = apply_overrides(Config(), {"model.name": "plugged"})
    assert with_plugins(named).plugins == (f"{path}#sha256={plugins.file_digest(path)}",)
    assert with_plugins(Config()).plugins == ()


@pytest.fixture
def run(tmp_path, registered):
    """The folder of a run of a plugin."""
    config = load_experiment(str(write_plugin(tmp_path / "mine.py")))
    folder = Workdir(tmp_path / "run")
    folder.create()
    folder.write("config.json", to_json(config))
    return folder


def launch(capsys, *arguments):
    assert main(["launch.py", *arguments]) == 1
    return capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ("eval", "--workdir=RUN"),
        ("train", "--workdir=RUN"),
        ("predict", "--workdir=RUN", "x.png"),
        ("features", "--workdir=RUN"),
        ("analyze", "filters", "--workdir=RUN"),
        ("export", "--workdir=RUN", "--out=x"),
        ("summary", "--config=RUN/config.json"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_file_that_changed_is_one_sentence(arguments, run, tmp_path, capsys):
    path = write_plugin(tmp_path / "mine.py", body="0")
    error = launch(capsys, *(text.replace("RUN", str(run.path)) for text in arguments))
    assert error.startswith(
        f"error: The plugin {path}, which the run was started with, has changed"
    )
    assert error.endswith("name the file to use in its place with --plugins=PATH.\n")
    assert len(error.splitlines()) == 1


def test_a_file_that_is_missing_is_one_sentence(run, tmp_path, capsys):
    path = tmp_path / "mine.py"
    path.unlink()
    assert launch(capsys, "eval", f"--workdir={run.path}") == (
        f"error: The plugin {path}, which the run was started with, is missing: restore it, or "
        "name the file to use in its place with --plugins=PATH.\n"
    )


def test_a_file_can_be_given_in_place_of_a_recorded_one(run, tmp_path):
    moved = shutil.move(tmp_path / "mine.py", tmp_path / "moved.py")
    MODELS._entries.pop((None, "plugged"))
    plugins.given_plugins([str(moved)])
    assert run.config().model.name == "plugged"
    assert MODELS.entry("plugged").plugin.file == moved


def test_a_module_that_is_missing_is_one_sentence():
    with pytest.raises(plugins.PluginError, match="'no_such_plugin', a module, is missing"):
        plugins.load_plugins(["no_such_plugin"])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("import sys\nsys.exit(3)", "it ends the process (sys.exit(3))."),
        ("raise RuntimeError('no luck')", "cannot be loaded: RuntimeError: no luck."),
        ("1 / 0", "cannot be loaded: ZeroDivisionError: division by zero."),
        ("def get_config(): raise OSError('gone')", "get_config() of "),
        ("def get_config(): raise SystemExit", "it ends the process"),
    ],
)
def test_an_experiment_that_fails_is_one_sentence(text, sentence, tmp_path, capsys):
    path = tmp_path / "broken.py"
    path.write_text(text)
    error = launch(capsys, "train", f"--config={path}", f"--workdir={tmp_path}/run")
    assert sentence in error
    assert error.startswith("error: ")
    assert len(error.splitlines()) == 1


def test_a_model_that_is_no_module_is_one_sentence(run):
    with pytest.raises(UserError, match=r"'plugged' must be a flax\.linen\.Module"):
        create_model("plugged", num_classes=2)


@pytest.mark.parametrize(
    ("kind", "builtin", "own"),
    [
        ("models", "lenet", "tinynet"),
        ("datasets", "digits", "stripes"),
        ("losses", "cross_entropy", "squared_error"),
        ("metrics", "f1", "worst_recall"),
        ("schedules", "cosine", None),
        ("callbacks", "wandb", None),
    ],
)
def test_lists_name_built_in_and_own_components(kind, builtin, own, capsys, registered):
    assert main(["launch.py", "list", kind, f"--plugins={EXPERIMENT}"]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line]
    assert builtin in names
    assert own is None or own in names
