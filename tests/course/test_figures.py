"""The course's figures are drawn by their command, and experiments by their numbers."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from cnnlab.cli.flags import course as command
from cnnlab.cli.main import main
from cnnlab.course import EXPERIMENTS, FIGURES, build
from cnnlab.course.experiments import checkerboard, feature_maps, learned_filters, shift_table
from cnnlab.course.pages import read_pages
from cnnlab.errors import UserError
from tests.marks import exhaustive

PAGES = Path(__file__).parents[2] / "docs" / "course"
FOLDER = PAGES / "figures"

# Seconds of compiling; other figures of their kind are drawn, and measured, by default.
LONG = {
    "augmentation_photo", "receptive_field",
    "checkerboard", "hand_made_features", "norm_motivations", "small_batches",
    "fine_tuning",
}  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [exhaustive(n) if n in LONG else n for n in sorted(FIGURES)],
)
def test_figure_is_drawn(name, tmp_path):
    (path,) = build(tmp_path, [name])
    pixels = np.asarray(Image.open(path).convert("RGB"))
    assert min(pixels.shape[:2]) > 80
    assert pixels.std() > 5  # not blank


def test_every_figure_lies_in_the_documents_and_is_small():
    names = {path.stem for path in FOLDER.glob("*.png")}
    assert names == {*FIGURES, *EXPERIMENTS}
    for path in FOLDER.iterdir():
        assert path.stat().st_size < 150_000, path.name


def test_pages_show_every_figure_and_no_other():
    shown = [
        name
        for page in PAGES.glob("*.md")
        for name in re.findall(r"!\[[^]]+\]\(figures/(\w+)\.png\)", page.read_text())
    ]
    assert sorted(shown) == sorted([*FIGURES, *EXPERIMENTS])  # once each
    listed = [page.path.name for page in read_pages()]
    assert sorted([*listed, "README.md"]) == sorted(page.name for page in PAGES.glob("*.md"))


def test_the_table_of_shifts_is_that_of_its_numbers():
    numbers = json.loads((FOLDER / "shift_table.json").read_text())
    assert shift_table.table(numbers) in (PAGES / "intuitions.md").read_text()
    assert [row["network"] for row in numbers["results"]] == list(shift_table.NETWORKS)


# A few updates of the experiments whose networks compile in seconds.
QUICK = {
    "hand_made_features": {"steps": 2, "seeds": (0,), "per_class": (2,)},
    "checkerboard": {"steps": 2},
    "feature_maps": {"steps": 2},
    "moving_averages": {"steps": 2, "seeds": (0,)},
    "norm_motivations": {"seeds": (0,), "noise_batches": (2,)},
    "small_batches": {"examples": 128, "seeds": (0,), "batch_sizes": (2,)},
    "gradient_check": {"seeds": (0,), "steps": (0.1,)},
    "fine_tuning": {
        "name": "digits",
        "steps": 1,
        "source_steps": 1,
        "seeds": (0,),
        "per_class": (2,),
    },
}


@pytest.mark.parametrize("name", [exhaustive(n) if n in LONG else n for n in QUICK])
def test_experiment_measures_what_it_draws(name):
    numbers = json.loads(json.dumps(EXPERIMENTS[name].measure(**QUICK[name])))
    recorded = json.loads((FOLDER / f"{name}.json").read_text())
    assert numbers.keys() == recorded.keys()
    results = "networks" if name == "feature_maps" else "results"
    if results == "networks":
        assert numbers[results].keys() == recorded[results].keys()
    else:
        assert numbers[results][0].keys() == recorded[results][0].keys()
    EXPERIMENTS[name].draw(numbers)


@pytest.mark.slow
@pytest.mark.real_data
def test_first_layers_before_and_after_are_measured():
    if not tfds.builder("cifar10", file_format="array_record").is_prepared():
        pytest.skip("cifar10 is not prepared: python launch.py prepare --dataset=cifar10")
    numbers = json.loads(json.dumps(learned_filters.measure(steps=1)))
    recorded = json.loads((FOLDER / "learned_filters.json").read_text())
    assert numbers.keys() == recorded.keys()
    before, after = (feature_maps.unpack(r["kernels"]) for r in numbers["results"])
    assert before.shape == after.shape == (11, 11, 3, 64)
    assert np.abs(before - after).max() > 0
    np.testing.assert_array_equal(before, feature_maps.unpack(recorded["results"][0]["kernels"]))


def test_packed_weights_are_within_half_a_step():
    weights = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    packed = json.loads(json.dumps(feature_maps.pack(weights)))
    found = feature_maps.unpack(packed)
    assert found.shape == weights.shape
    assert np.abs(found - weights).max() <= 0.5001 * packed["scale"]


def test_a_checkerboard_has_a_ripple_and_an_even_image_none():
    even = np.full((28, 28), 0.7)
    assert checkerboard.ripple(checkerboard.phases(even)) < 1e-12
    board = 1.0 + 0.5 * (-1.0) ** np.add.outer(np.arange(28), np.arange(28))
    expected = 0.5 / (1 + 0.5**2) ** 0.5  # standard deviation over root mean square
    assert np.isclose(checkerboard.ripple(checkerboard.phases(board)), expected)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiment_is_drawn_from_its_numbers(name, tmp_path):
    """Those of the documents, which a person has measured and looked at."""
    numbers = FOLDER / f"{name}.json"
    assert json.loads(numbers.read_text())["seeds"]
    (tmp_path / numbers.name).write_bytes(numbers.read_bytes())
    (path,) = build(tmp_path, [name], measure=False)
    assert path.stat().st_size > 5_000


def test_help_names_every_experiment():
    for name in EXPERIMENTS:
        assert f"  {name} " in command.__doc__


def test_command(tmp_path, capsys):
    out = tmp_path / "figures"
    assert main(["launch.py", "course", "pooling", "stride", f"--out={out}", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["pictures"] == [str(out / "pooling.png"), str(out / "stride.png")]
    assert all(Path(path).is_file() for path in told["pictures"])


def test_mistakes_are_told(tmp_path):
    with pytest.raises(UserError, match=r"no figure 'poling'.*pooling"):
        build(tmp_path, ["poling"])
    with pytest.raises(UserError, match=r"norms\.json is not there: 'norms' is to be measured"):
        build(tmp_path, ["norms"], measure=False)
