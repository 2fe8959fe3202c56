"""The search for a learning rate: where it looks, and that what it suggests trains."""

import numpy as np
import pytest

from cnnlab.config import apply_overrides, load_experiment
from cnnlab.errors import UserError
from cnnlab.tasks.classification import at_chance
from cnnlab.train import build_experiment, find_learning_rate, fit, load_data
from cnnlab.train.lr_finder import _divergence, falls, smooth, steepest

RATES = np.geomspace(1e-4, 1.0, 41)  # 10 a decade


def loss_with_a_second_valley():
    """Falls from 2.3 to 1.8 at 0.01, collapses at 0.03, and falls lower, and faster, at 0.1."""
    return np.interp(
        np.log10(RATES), [-4, -3, -2, -1.5, -1.1, -1, 0], [2.3, 2.25, 1.8, 2.3, 2.3, 1.0, 9.0]
    )


def test_the_search_ends_before_the_first_divergence():
    losses = loss_with_a_second_valley()
    end = _divergence(losses)
    assert 0.01 < RATES[end] < 0.02
    assert steepest(RATES[:end], losses[:end]) == pytest.approx(10**-2.1, rel=0.9)
    # Without an end it would be where the network has collapsed already.
    assert steepest(RATES, losses) > 0.05


def test_noise_is_no_divergence():
    noise = np.random.default_rng(0).normal(0.0, 0.1, 100)
    assert _divergence(smooth(np.linspace(2.3, 1.5, 100) + noise)) is None
    assert _divergence(smooth(np.full(100, 2.3) + noise)) is None
    assert _divergence(np.array([2.0] * 20 + [np.nan] * 2)) == 20


def test_what_verifies_a_rate():
    noise = np.random.default_rng(0).normal(0.0, 0.1, 100)
    assert falls(list(np.linspace(2.3, 2.1, 100) + noise))
    assert not falls(list(2.3 + noise))
    assert not falls([*np.linspace(2.3, 1.5, 50), *[2.3] * 50])  # a collapse
    assert not falls([2.3, 2.0, np.nan, np.nan])


def test_the_average_is_that_of_the_last_losses():
    np.testing.assert_allclose(smooth([3.0] * 5), 3.0)
    np.testing.assert_allclose(smooth([1.0, 2.0])[1], (0.9 * 1.0 + 2.0) / 1.9)


def config_of(name, **overrides):
    return apply_overrides(load_experiment(name), {"num_devices": 1, **overrides})


def search(config, **options):
    dataset = load_data(config)
    return find_learning_rate(build_experiment(config, dataset.info), dataset, **options)


def test_seeds_agree_on_a_rate_that_trains(tmp_path):
    small = {"data.image_size": 8, "model.options.hidden": (32,), "epochs": 6.0}
    found = [search(config_of("mlp_digits", seed=seed, **small)) for seed in (0, 10)]
    assert all(each.verified for each in found)
    assert max(x.suggestion for x in found) < 3 * min(x.suggestion for x in found)
    assert found[0].losses.shape == (3, len(found[0].rates))
    assert found[0].losses[0, 0] != found[0].losses[1, 0]  # each sweep has its own seed
    small["optimizer.learning_rate"] = found[0].suggestion
    result = fit(config_of("mlp_digits", **small), tmp_path)
    assert result["test"]["accuracy"] > 0.85


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", ["lenet_digits", "mlp_digits"])
def test_default_recipes_train_at_the_suggested_rate(name, seed, tmp_path):
    rate = search(config_of(name, seed=seed)).suggestion
    config = config_of(name, seed=seed, epochs=10.0, **{"optimizer.learning_rate": rate})
    assert fit(config, tmp_path)["test"]["accuracy"] > 0.9


@pytest.mark.slow
def test_the_multilabel_recipe_trains_at_the_suggested_rate(tmp_path):
    """Where the rates of the labels are learned first: an F1 of 0 for some epochs, 92 % at best."""
    rate = search(config_of("multilabel_digit_pairs")).suggestion
    config = config_of("multilabel_digit_pairs", **{"optimizer.learning_rate": rate})
    assert fit(config, tmp_path)["test"]["f1"] > 0.75


@pytest.mark.exhaustive
def test_a_segmentation_recipe_trains_at_the_suggested_rate(tmp_path):
    rate = search(config_of("unet_digit_scenes")).suggestion
    config = config_of("unet_digit_scenes", epochs=2.0, **{"optimizer.learning_rate": rate})
    assert fit(config, tmp_path)["test"]["miou"] > 0.15  # background alone is 0.08


def test_a_rate_that_does_not_train_is_not_called_verified():
    """Steps too small to change anything: the loss stays where it was, at a third of it too."""
    config = config_of("mlp_digits", **{"data.image_size": 8, "model.options.hidden": (4,)})
    found = search(config, lowest=1e-12, highest=1e-11, num_steps=20, num_sweeps=1)
    assert not found.verified


def test_sweeps_are_at_least_one():
    with pytest.raises(UserError, match="num_sweeps=0 must be at least 1"):
        search(config_of("mlp_digits"), num_sweeps=0)


@pytest.mark.parametrize(
    ("confusion", "expected"),
    [
        ([[10, 0], [10, 0]], True),  # one answer for all
        ([[6, 4], [5, 5]], True),  # guessing
        ([[9, 1], [1, 9]], False),
        ([[90, 0], [10, 0]], True),
        ([[85, 5], [2, 8]], False),  # no more accurate than one answer, and yet of use
        ([[10]], False),  # one class only
        ([[10, 0, 0], [10, 0, 0], [0, 0, 0]], True),  # one class does not occur
    ],
)
def test_what_chance_is(confusion, expected):
    assert at_chance(np.array(confusion)) == expected


def test_a_run_that_has_learned_nothing_says_so(tmp_path, capsys):
    small = {"data.image_size": 8, "model.options.hidden": (4,), "epochs": None, "steps": 3}
    fit(config_of("mlp_digits", **small, **{"optimizer.learning_rate": 1e-9}), tmp_path / "a")
    assert "no better than one answer for all" in capsys.readouterr().out
    small |= {"steps": 120, "model.options.hidden": (32,)}
    fit(config_of("mlp_digits", **small, **{"optimizer.learning_rate": 0.01}), tmp_path / "b")
    assert "one answer" not in capsys.readouterr().out
