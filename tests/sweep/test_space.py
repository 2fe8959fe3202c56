"""Spaces: what is read, what is drawn, and one sentence for each mistake."""

import itertools
import math

import pytest

from cnnlab.config import apply_overrides, experiment_names, load_experiment, load_sweep
from cnnlab.errors import UserError
from cnnlab.sweep.space import param
from cnnlab.sweep.space.config_space import config_space
from cnnlab.sweep.space.expression import Expression
from cnnlab.sweep.space.param_text import parse_param
from cnnlab.sweep.space.space import Space, read_params

CONFIG = load_experiment("lenet_digits")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("log(1e-3, 1)", param.log(1e-3, 1)),
        ("uniform(-1,0.5)", param.uniform(-1, 0.5)),
        ("int(2,6)", param.integer(2, 6)),
        ("logint(8, 256)", param.log_integer(8, 256)),
        ("[lenet,mlp]", param.choice(["lenet", "mlp"])),
        ("[none, 2.0, true, 'a b']", param.choice([None, 2.0, True, "a b"])),
        ("[(64,), (128, 64)]", param.choice([(64,), (128, 64)])),
        ("range(3)", param.choice([0, 1, 2])),
        ("range(1, 10, 4)", param.choice([1, 5, 9])),
        ("geomspace(1e-3, 10, 5)", param.choice([0.001, 0.01, 0.1, 1.0, 10.0])),
        ("linspace(0, 0.3, 4)", param.choice([0.0, 0.1, 0.2, 0.3])),
        ("[1] if model.name == mlp", param.choice([1], when="model.name == mlp")),
    ],
)
def test_texts_are_read(text, expected):
    assert parse_param(text) == expected
    assert parse_param(str(expected)) == expected


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("log(0, 1)", r"log\(0.0, 1.0\): a range of logarithms must start above 0"),
        ("log(1, 0.1)", "is empty: the first number must be below the second"),
        ("uniform(0, 1e999)", "both ends must be finite"),
        ("int(1, 2.5)", "2.5 is not a whole number"),
        ("int(0, 100000000000000000000)", r"the ends must be from -2\*\*53 to 2\*\*53"),
        ("lg(1, 2)", "There is no range 'lg'. Did you mean 'log'"),
        ("log(1)", "missing 1 required positional argument: 'high'"),
        ("log(a, b)", "log takes numbers only"),
        ("[]", "has no value to try"),
        ("[1, 2, 1]", "has 1 twice"),
        ("[1, true, 0.5]", "1 and true are equal in Python"),
        ("[false, 0]", "false and 0 are equal in Python"),
        ("[1, 1.0]", "1 and 1.0 are equal"),
        ("[(1,), '(1,)']", r"\(1,\) and '\(1,\)' are equal"),
        ("[folder:x]", "Texts other than plain words need quotes"),
        ("[a-b]", "'a - b' is not a value"),
        ("64", "is not a range or a list"),
        ("linspace(0, 1, 1)", "needs 2 or more values"),
        ("linspace(0, 1, 1000000000)", "A list has at most 10000 values: take a range"),
        ("geomspace(0.1, 1, 1000000000)", "A list has at most 10000 values"),
        ("range(1000000000)", "A list has at most 10000 values"),
        ("range(1000000000000000000000000000000)", "A list has at most 10000 values"),
    ],
)
def test_mistakes_in_a_range(text, sentence):
    with pytest.raises(UserError, match=sentence):
        parse_param(text)


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["optimizer.lr=log(1e-3,1)"], "no field 'optimizer.lr'"),
        (["optimizer.learning_rat=log(1e-3,1)"], "Did you mean 'learning_rate'"),
        (["batch_size=log(8,256)"], "batch_size takes whole numbers.*logint"),
        (["batch_size=[32,many]"], "batch_size='many' is not a whole number"),
        (["batch_size=int(0,64)"], "batch_size=0 must be greater than 0"),
        (["optimizer.learning_rate=uniform(-1,1)"], "learning_rate=-1.0 must be greater than 0"),
        (["schedule.name=[cosine,sine]"], "Unknown schedule 'sine'. Did you mean 'cosine'"),
        (["model.name=[lenet,lnet]"], "Unknown model 'lnet'. Did you mean 'lenet'"),
        (["model.options.hidden=[(64,)]"], "has no such option; give it a condition"),
        (["augment=[1]"], "'augment' is a group of fields"),
        (["steps=[10,20]"], "Set either epochs or steps"),
        (["batch_size=[32]", "batch_size=[64]"], "'batch_size' is given twice"),
        (["batch_size=[32] if seed == 1", "seed=[1] if batch_size == 32"], "depend on each other"),
        (["batch_size=[32] if model.nme == mlp"], "no field 'model.nme'. Did you mean"),
        (["batch_size"], "param=batch_size must be PATH=RANGE"),
        (["batch_size=32"], "batch_size: '32' is not a range or a list"),
    ],
)
def test_mistakes_in_a_space(flags, sentence):
    with pytest.raises(UserError, match=sentence):
        config_space(CONFIG, read_params(flags))


def test_option_of_the_config_that_a_model_does_not_have():
    config = apply_overrides(load_experiment("mlp_digits"), {"model.options": {"hidden": (8,)}})
    with pytest.raises(UserError, match=r"model 'lenet'.*add 'model.options.hidden=\[\(8,\)\] if"):
        config_space(config, {"model.name": ["mlp", "lenet"], "seed": [0, 1]})


def test_grid_with_conditions_and_constraints():
    space = config_space(
        CONFIG,
        read_params(
            [
                "optimizer.learning_rate=[0.1, 1.0]",
                "model.options.hidden=[(64,), (128, 64)] if model.name == mlp",
                "model.name=[lenet, mlp]",
            ]
        ),
        ["optimizer.learning_rate * len(model.options.hidden) < 2"],
    )
    # The condition's field comes before it, and the constraint does not bind LeNet.
    assert space.grid() == [
        {"optimizer.learning_rate": 0.1, "model.name": "lenet"},
        {"optimizer.learning_rate": 0.1, "model.name": "mlp", "model.options.hidden": (64,)},
        {"optimizer.learning_rate": 0.1, "model.name": "mlp", "model.options.hidden": (128, 64)},
        {"optimizer.learning_rate": 1.0, "model.name": "lenet"},
        {"optimizer.learning_rate": 1.0, "model.name": "mlp", "model.options.hidden": (64,)},
    ]
    for values in space.grid():
        assert space.restore(space.store(values)) == values
    again = Space(read_params(["=".join(pair) for pair in space.texts()]), others={})
    assert again.texts() == space.texts()


def test_one_path_with_a_range_for_each_case():
    space = Space(
        {
            "name": ["adam", "sgd"],
            "rate": [
                param.choice([1, 2], when="name == adam"),
                param.choice([3], when="name == sgd"),
            ],
        }
    )
    assert [space.by_path(values) for values in space.grid()] == [
        {"name": "adam", "rate": 1},
        {"name": "adam", "rate": 2},
        {"name": "sgd", "rate": 3},
    ]
    both = {"a": [param.choice([1], when="b > 0"), param.choice([2], when="b > 1")], "b": [1, 2]}
    with pytest.raises(UserError, match="'a' has two ranges whose conditions hold at once"):
        Space(both).grid()


def test_grid_of_real_numbers_or_of_too_many():
    with pytest.raises(UserError, match=r"A grid needs lists, and x is log\(0.1, 1.0\)"):
        Space({"x": "log(0.1, 1)"}).grid()
    with pytest.raises(UserError, match="1,000,000 combinations"):
        Space({"x": "int(1, 1000)", "y": "int(1, 1000)"}).grid()
    with pytest.raises(UserError, match="No combination fulfils"):
        Space({"x": [1, 2]}, ["x > 2"]).grid()


def test_a_range_of_many_whole_numbers_is_not_listed():
    space = Space({"x": "int(0, 1000000000000)"})
    assert space.size == 10**12 + 1
    assert len(space.samples(3)) == 3
    with pytest.raises(UserError, match="1,000,000,000,001 combinations"):
        space.grid()


def test_draws_follow_the_ranges():
    """At evenly spaced points: medians, ends, and equal shares of whole numbers and choices."""
    units = [(i + 0.5) / 1000 for i in range(1000)]
    assert parse_param("uniform(2, 4)").from_unit(0.5) == 3.0
    assert parse_param("log(1e-3, 1e3)").from_unit(0.5) == pytest.approx(1.0)
    drawn = [parse_param("int(1, 4)").from_unit(u) for u in units]
    assert [drawn.count(n) for n in (1, 2, 3, 4)] == [250] * 4
    drawn = [parse_param("logint(1, 1000)").from_unit(u) for u in units]
    assert min(drawn) == 1
    assert max(drawn) > 990
    shares = [sum(low <= n <= 10 * low for n in drawn) for low in (1, 10, 100)]
    assert all(300 < share < 430 for share in shares)
    drawn = [parse_param("[a, b]").from_unit(u) for u in units]
    assert drawn.count("a") == 500
    for text in ("uniform(0.1, 0.3)", "log(0.1, 0.3)", "int(3, 5)", "logint(3, 5)", "[a, b]"):
        one = parse_param(text)
        low, high = one.bounds()[0], one.bounds()[-1]
        assert one.from_unit(0.0) == pytest.approx(low) if one.values() is None else low
        assert (
            one.from_unit(math.nextafter(1, 0)) == pytest.approx(high)
            if one.values() is None
            else high
        )


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("lr * batch_size <= 6.4", True),
        ("lr * batch_size < 6.4 and seed == 3", False),
        ("0 < lr < 1", True),
        ("model.name == mlp", True),
        ("model.name in [lenet, mlp] and not batch_size % 2", True),
        ("model.name not in (lenet, mlp)", False),
        ("'mlp' != model.name", False),
        ("max(batch_size, seed) == 64 or lr == none", True),
        ("abs(-lr) ** 2 - log(1) < sqrt(4) // 2 / 1", True),
        ("clip <= 1", None),
        ("2 * clip <= 1", None),
        ("clip == none", True),
        ("sqrt(clip) < 3", None),
        ("hidden > 3", None),
    ],
)
def test_expressions(text, holds):
    fields = {"lr": 0.1, "batch_size": 64, "seed": 3, "model.name": "mlp", "clip": None}
    expression = Expression(text, [*fields, "hidden"])
    assert expression.holds(fields) is holds


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("batch_sze <= 64", "there is no field 'batch_sze'. Did you mean 'batch_size'"),
        ("sed == 3", "there is no field 'sed'"),  # not a word: no field to compare it with
        ("model.nam == mlp", "Did you mean 'model.name'"),
        ("batch_size <=", "is not a condition"),
        ("__import__('os').system('true')", "is not allowed"),
        ("(lambda: 1)()", "is not allowed"),
        ("[x for x in (1, 2)]", "is not allowed"),
        ("batch_size[0]", "is not allowed"),
        ("batch_size is none", "'batch_size is none' is not allowed"),
        ("fields['seed'] == 3", "is not allowed"),
        ("max(*model.name)", "is not allowed"),
    ],
)
def test_mistakes_in_an_expression(text, sentence):
    with pytest.raises(UserError, match=sentence):
        Expression(text, ["batch_size", "model.name", "seed"])


def test_expression_that_cannot_be_computed():
    with pytest.raises(UserError, match="'x < 3' cannot be computed"):
        Expression("x < 3", ["x"]).holds({"x": "text"})
    with pytest.raises(UserError, match="cannot be computed"):
        Expression("9 ** 9 ** 9 > x", ["x"]).holds({"x": 1})


def test_config_space_takes_values_that_fit_in_some_combination():
    """`step` needs step_epochs, which are searched as well."""
    space = config_space(
        CONFIG,
        {
            "schedule.name": ["cosine", "step"],
            "schedule.step_epochs": "[(10.0, 20.0)] if schedule.name == step",
        },
    )
    assert len(space.grid()) == 2
    assert all(len(p) == len(q) for p, q in itertools.pairwise(space.texts()))


def test_sweeps_of_the_shipped_experiments():
    swept = {name: load_sweep(name) for name in experiment_names()}
    swept = {name: space for name, space in swept.items() if space}
    assert "lenet_digits" in swept
    for name, space in swept.items():
        assert config_space(load_experiment(name), space).entries
