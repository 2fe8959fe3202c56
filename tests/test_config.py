"""Overrides, validation, files and differences of configs."""

import dataclasses
import json
import random

import pytest

from cnnlab.cli.config_flags import split_overrides
from cnnlab.config import (
    Config,
    apply_overrides,
    differences,
    experiment_names,
    from_json,
    load_experiment,
    to_json,
    validate,
)
from cnnlab.config.overrides import field_paths
from cnnlab.errors import UserError


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        ("seed", "3", 3),
        ("steps", "1e3", 1000),
        ("epochs", "none", None),
        ("epochs", "2", 2.0),
        ("optimizer.learning_rate", "5e-2", 0.05),
        ("optimizer.decay_norms_and_biases", "true", True),
        ("schedule.name", "one_cycle", "one_cycle"),
        ("schedule.step_epochs", "30,60", (30.0, 60.0)),
        ("schedule.step_epochs", "(30, 60)", (30.0, 60.0)),
        ("schedule.step_epochs", "30", (30.0,)),
        ("schedule.step_epochs", "()", ()),
        ("data.name", "folder:/tmp/images", "folder:/tmp/images"),
        ("data.data_dir", "none", None),
        ("data.data_dir", "7", "7"),
    ],
)
def test_override(path, text, value):
    config = apply_overrides(Config(), {path: text})
    found = config
    for name in path.split("."):
        found = getattr(found, name)
    assert found == value
    assert type(found) is type(value)


def test_override_of_options_adds_entries():
    config = apply_overrides(
        Config(), {"model.options.stem": "cifar", "optimizer.options.b2": "0.95"}
    )
    assert config.model.options == {"stem": "cifar"}
    assert config.optimizer.options == {"b2": 0.95}


def test_words_inside_of_dicts_and_tuples():
    text = '{"deep_supervision": true, "attention": (False, NONE), "name": "true"}'
    config = apply_overrides(Config(), {"model.options": text})
    expected = {"deep_supervision": True, "attention": (False, None), "name": "true"}
    assert config.model.options == expected
    assert apply_overrides(Config(), {"model.options.x": "[true]"}).model.options == {"x": [True]}


def test_a_field_that_is_true_or_false_may_stand_alone():
    arguments = ["a.png", "--config.augment.flip", "b.png", "--config.seed", "3",
                 "--config.augment.flip_vertical", "false",
                 "--config.finetune.new_head"]  # fmt: skip
    rest, overrides = split_overrides(arguments)
    assert rest == ["a.png", "b.png"]
    assert overrides == {"augment.flip": "true", "seed": "3", "augment.flip_vertical": "false",
                         "finetune.new_head": "true"}  # fmt: skip
    assert apply_overrides(Config(), overrides).finetune.new_head


def test_override_of_options_in_options():
    config = apply_overrides(
        Config(),
        {"loss.options.focal.gamma": "3", "loss.options.focal.alpha": "0.5", "loss.terms.focal": 1},
    )
    assert config.loss.options == {"focal": {"gamma": 3, "alpha": 0.5}}
    saved = from_json(json.loads(json.dumps(to_json(config))))
    assert saved.loss == config.loss
    asked = apply_overrides(config, {"loss.options.focal.gamma": 2})
    assert differences(saved, asked) == ["loss.options.focal.gamma: 3 -> 2"]


def test_option_that_has_no_parts():
    config = apply_overrides(Config(), {"model.options.stem": "cifar"})
    with pytest.raises(UserError, match="'stem' is 'cifar', which has no parts"):
        apply_overrides(config, {"model.options.stem.size": 3})


def test_override_leaves_the_original_alone():
    config = Config()
    apply_overrides(config, {"optimizer.options.momentum": 0.5, "seed": 9})
    assert config == Config()


@pytest.mark.parametrize(
    ("path", "text", "sentence"),
    [
        ("sede", "1", "no field 'sede'. Did you mean 'seed'"),
        ("optimizer.learning_rte", "1", "Did you mean 'learning_rate'"),
        ("learning_rate", "1", "Did you mean 'optimizer.learning_rate'"),
        ("seed.x", "1", "'seed' has no parts"),
        ("optimizer", "sgd", "is a group of fields"),
        ("seed", "abc", "seed='abc' is not a whole number"),
        ("seed", "1.5", "seed='1.5' is not a whole number"),
        ("optimizer.learning_rate", "fast", "is not a number"),
        ("optimizer.learning_rate", "nan", "is not a finite number"),
        ("optimizer.decay_norms_and_biases", "maybe", "is not true or false"),
        ("parallel", "pmpa", "Did you mean 'pmap'"),
        ("model.options", "cifar", "set one entry of it"),
        ("augment.crop_scale", "1", "takes 2 values"),
        ("loss.class_weights", "1,heavy", "'heavy' is not a number"),
    ],
)
def test_bad_override(path, text, sentence):
    with pytest.raises(UserError) as error:
        apply_overrides(Config(), {path: text})
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        ({"batch_size": 0}, "batch_size=0 must be greater than 0"),
        ({"seed": -1}, "seed=-1 must not be negative"),
        ({"seed": 2**32}, "seed=4294967296 must be below"),
        ({"epochs": 1e308}, "epochs=1e\\+308 must be at most"),
        ({"epochs": float("nan")}, "epochs=nan must be greater than 0 and finite"),
        ({"optimizer.learning_rate": float("inf")}, "learning_rate=inf must be greater than 0"),
        ({"optimizer.weight_decay": float("nan")}, "weight_decay=nan must not be negative"),
        ({"model.options": {"dropout_rate": 1.0}}, "dropout_rate=1.0 must be at least 0 and below"),
        ({"model.options": {"drop_block_dropout_rate": -1}}, "must be at least 0 and below 1"),
        ({"steps": 5}, "Set either epochs or steps"),
        ({"epochs": None}, "Set either epochs or steps"),
        ({"data.validation_fraction": 1.0}, "below 1"),
        ({"optimizer.accumulate_steps": 3}, "cannot be divided into"),
        ({"schedule.name": "step"}, "needs schedule.step_epochs"),
        (
            {"schedule.name": "one_cycle", "schedule.warmup_epochs": 1},
            "cannot be combined with one_cycle",
        ),
        ({"schedule.warmup_epochs": 10}, "must be below epochs"),
        ({"loss.binary": True}, "loss.binary=True is for task=segmentation"),
        ({"evaluation.boundary_tolerance": -1}, "must not be negative"),
        (
            {"evaluation.early_stopping_patience": 3, "data.validation_fraction": 0},
            "the test split must not decide",
        ),
    ],
)
def test_impossible_values(overrides, sentence):
    with pytest.raises(UserError, match=sentence):
        validate(apply_overrides(Config(), overrides))


def test_json_round_trip():
    config = apply_overrides(
        Config(),
        {
            "schedule.step_epochs": (3, 6),
            "model.options.hidden": (5, 6),
            "steps": 7,
            "epochs": None,
        },
    )
    saved = from_json(json.loads(json.dumps(to_json(config))))
    assert differences(saved, config) == []
    assert saved.schedule.step_epochs == (3.0, 6.0)


def test_differences_name_fields_and_both_values():
    asked = apply_overrides(Config(), {"seed": 4, "model.options.stem": "cifar"})
    assert differences(Config(), asked) == ["model.options.stem: unset -> cifar", "seed: 0 -> 4"]


def test_differences_ignore_how_a_run_is_computed():
    asked = apply_overrides(Config(), {"num_devices": 2, "data.data_dir": "/elsewhere"})
    assert differences(Config(), asked) == []


def test_every_field_is_documented():
    """Each dataclass names each of its fields in its docstring."""

    def check(config):
        for field in dataclasses.fields(config):
            value = getattr(config, field.name)
            if dataclasses.is_dataclass(value):
                check(value)
            elif type(config).__name__ != "AugmentConfig":  # documented by comments
                assert f"{field.name}:" in type(config).__doc__, field.name

    check(Config())
    assert len(field_paths(Config())) > 40


def test_experiment_by_name_and_by_path(tmp_path):
    by_name = load_experiment("lenet_digits")
    assert by_name == load_experiment(str(experiment_names()["lenet_digits"]))
    saved = tmp_path / "config.json"
    saved.write_text(json.dumps(to_json(by_name)))
    assert differences(load_experiment(str(saved)), by_name) == []


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("x = (", "cannot be loaded"),
        ("import no_such_module", "No module named 'no_such_module'"),
        ("x = 1", "has no function get_config"),
        ("def get_config():\n    return 1", "returns int"),
        (
            "from cnnlab.config import Config\ndef get_config():\n    return Config(sead=1)",
            "unexpected keyword argument 'sead'",
        ),
    ],
)
def test_bad_experiment_file(tmp_path, content, sentence):
    path = tmp_path / "bad.py"
    path.write_text(content)
    with pytest.raises(UserError, match=sentence):
        load_experiment(str(path))


@pytest.mark.parametrize("name", ["lenet_digit", "experiments/lenet_digit.py"])
def test_unknown_experiment(name):
    with pytest.raises(UserError, match="Did you mean 'lenet_digits'"):
        load_experiment(name)


@pytest.mark.parametrize(
    ("group", "name", "message"),
    [
        ("optimizer", "lr", "OptimizerConfig has no field 'lr'"),
        (None, "optimiser", "Config has no field 'optimiser'. Did you mean 'optimizer'?"),
        ("augment", "cutot", "Did you mean 'cutout'?"),
    ],
)
def test_a_field_that_does_not_exist_cannot_be_set(group, name, message):
    config = Config()
    with pytest.raises(UserError) as found:
        setattr(config if group is None else getattr(config, group), name, 1)
    assert message in str(found.value)


def test_a_saved_config_may_hold_anything_where_a_value_belongs():
    """Every field in turn, with some value of the wrong kind: one sentence, or a config."""
    tree = json.loads(json.dumps(to_json(Config())))
    values = [None, [], {}, -1, 1.5, "x", [None], [[1]], {"a": {"b": []}}, {"": {}}, 10**400]
    chosen = random.Random(0)

    def replaced(node):
        for name, old in list(node.items()):
            node[name] = chosen.choice(values)
            yield
            node[name] = old
            if isinstance(old, dict):
                yield from replaced(old)

    refused = 0
    for _ in replaced(tree):
        try:
            validate(from_json(tree))
        except UserError:
            refused += 1
    assert refused > 50
    with pytest.raises(UserError, match="too large a number"):
        apply_overrides(Config(), {"optimizer.learning_rate": 10**400})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"null", "must hold an object in JSON, and holds null"),
        (b"[]", "and holds a list"),
        (b"1", "and holds a number"),
        (b'"x"', "and holds a text"),
        (b"", "is not JSON"),
        (b"\xff\xfe{}", "is not text in UTF-8"),
        ("{}".encode("utf-16"), "is not text in UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b"9" * 10_000, "is not JSON"),
    ],
)
def test_a_file_of_another_kind_is_one_sentence(tmp_path, content, said):
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(UserError, match=said) as error:
        load_experiment(str(tmp_path / "x.json"))
    assert "x.json" in str(error.value) and len(str(error.value)) < 300
