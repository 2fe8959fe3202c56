"""What follows a step in a population is what follows it in a run trained alone."""

import numpy as np
import pytest

from cnnlab.config import Config, apply_overrides
from cnnlab.data import ArraySource, Dataset, DatasetInfo
from cnnlab.errors import UserError
from cnnlab.sweep import fit_group
from cnnlab.sweep.population import fitting
from cnnlab.train import CompiledSteps, fit
from cnnlab.train.callbacks.eval_images import EvalImages
from cnnlab.train.callbacks.json_lines import read_rows
from cnnlab.train.callbacks.progress import Silence
from cnnlab.train.checkpoints.writer import CheckpointWriter
from cnnlab.train.runtime.workdir import Workdir
from tests.sweep.test_population import base, folders, members


def test_rows_tell_how_long_the_input_was_waited_for(tmp_path):
    fit_group(members(base(), 2), folders(tmp_path, 2), mode="vmap")
    for folder in folders(tmp_path, 2):
        rows = [row for row in read_rows(Workdir(folder).metrics) if row["split"] == "train"]
        assert [row["step"] for row in rows] == list(range(1, 13))  # a run has ten rows or more
        assert all(0.0 <= row["input_wait"] <= 1.0 for row in rows)
        assert any(row["input_wait"] > 0.0 for row in rows)  # the indices take some time


def test_members_of_a_segmentation_population_have_their_pictures(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    splits = {
        name: ArraySource(
            rng.integers(0, 256, (n, 16, 16, 1), np.uint8),
            rng.integers(0, 2, (n, 16, 16)).astype(np.uint8),
        )
        for name, n in (("train", 16), ("validation", 4), ("test", 4))
    }
    sizes = {name: len(source) for name, source in splits.items()}
    info = DatasetInfo("noise", ("a", "b"), (16, 16, 1), sizes, (0.5,), (0.3,))
    config = apply_overrides(
        Config(task="segmentation", batch_size=8, epochs=None, steps=4, num_devices=1),
        {"model.name": "unet", "model.options.width": 4, "model.options.levels": 2,
         "evaluation.every_epochs": 1.0, "optimizer.learning_rate": 0.05},
    )  # fmt: skip
    configs = [apply_overrides(config, {"seed": s, "optimizer.learning_rate": 0.05 * (1 + s)})
               for s in range(2)]  # fmt: skip
    compiled = CompiledSteps(configs[0], Dataset(info, splits))
    monkeypatch.setattr(fitting, "_compiled_for", lambda config: compiled)
    drawn = {"alone": [], 0: [], 1: []}

    def drawing(key):
        def picture(images, truths, predictions, class_names):
            drawn[key].append(predictions)
            return np.zeros((4, 4, 3), np.uint8)

        return EvalImages(picture)

    found = fit_group(
        configs, folders(tmp_path, 2), callbacks=[[drawing(0)], [drawing(1)]], mode="vmap"
    )
    assert all(isinstance(result, dict) for result in found), found
    fit(configs[1], tmp_path / "alone", callbacks=[Silence(), drawing("alone")], compiled=compiled)
    assert [len(pictures) for pictures in drawn.values()] == [2, 2, 2]
    for folder in folders(tmp_path, 2):
        assert (folder / "predictions.png").is_file()
    # Each member's own weights: nearly every pixel is that of the same run alone.
    assert np.mean(drawn[1][-1] == drawn["alone"][-1]) > 0.99


def test_a_failed_save_ends_its_member_at_the_next_row(tmp_path, monkeypatch):
    """And not only when the next checkpoint is due; the others continue."""
    config = base(**{"checkpoint.every_steps": 4, "evaluation.every_epochs": 10.0})
    config = apply_overrides(config, {"log_every_steps": 2, "steps": 40})
    configs, seen = members(config, 2), []
    check = CheckpointWriter.check_for_errors

    def failing(writer):
        check(writer)
        if writer.directory.parent.name == "1":
            seen.append(writer)
            raise UserError("The checkpoint could not be saved: no space left.")

    monkeypatch.setattr(CheckpointWriter, "check_for_errors", failing)
    found = fit_group(configs, folders(tmp_path, 2), mode="vmap")
    assert isinstance(found[1], UserError)
    assert "no space left" in str(found[1])
    assert len(seen) == 1
    steps = [row["step"] for row in read_rows(Workdir(tmp_path / "1").metrics)]
    assert steps == [2]
    assert found[0]["steps"] == 40


@pytest.mark.parametrize("mode", ["vmap", "shared"])
def test_callbacks_of_a_member_are_its_own(tmp_path, mode):
    class Steps(Silence):
        def __init__(self):
            self.steps = []

        def on_log(self, run, row):
            self.steps.append((run.workdir.name, row["step"]))

    own = [Steps(), Steps()]
    fit_group(members(base(), 2), folders(tmp_path, 2), callbacks=[[one] for one in own], mode=mode)
    for number, each in enumerate(own):
        assert each.steps == [(str(number), step) for step in range(1, 13)]
