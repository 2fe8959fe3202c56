"""Damages every kind of file at random: nothing ends in a traceback, or in a silent wrong result.

A case passes where the reader raises a `UserError`, reports what is wrong, or returns exactly what
it returns for undamaged files.
"""

import dataclasses
import random
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

from cnnlab import sweep
from cnnlab.config import CheckpointConfig, Config, DataConfig, ModelConfig
from cnnlab.data import ArraySource
from cnnlab.data.cache import cached
from cnnlab.errors import UserError
from cnnlab.report.run_page.run_record import read_records
from cnnlab.storage.checksums import CHECKSUMS
from cnnlab.sweep.study.study import open_study
from cnnlab.train import fit
from cnnlab.train.checkpoints.reader import CheckpointReader
from cnnlab.train.engines.compiled_steps import CompiledSteps
from cnnlab.train.experiment import build_experiment
from cnnlab.train.run_data import load_data
from cnnlab.train.runtime.workdir import Workdir
from tests.sweep.objectives import parabola
from tests.train.test_loop import Quiet, rows

STEPS = 12
PARTS = 4  # of the cases, so that a failure says where it is
CASES_OF_A_RUN, CASES_OF_RESUMING, CASES_OF_THE_CACHE, CASES_OF_A_STUDY = 40, 6, 10, 15  # per part


def replacements(data: bytes, other: bytes) -> list[bytes]:
    """What may stand in place of a file."""
    text = data.decode("utf-8", "replace")
    return [b"null", b"[]", b"{}", b"1", b'"x"', b"\xff\xfe\x00", text.encode("utf-16"),
            b"[" * 100_000, b"NaN", b"0" * 5000, data + data, other]  # fmt: skip


def damage(path: Path, other: Path, rng: random.Random) -> str:
    """Damages one file in one way; returns what was done."""
    data = path.read_bytes()
    kind = rng.choice(["flip", "flip", "digit", "cut", "empty", "remove", "replace", "folder"])
    if kind == "flip" and data:
        position = rng.randrange(len(data))
        changed = bytearray(data)
        changed[position] ^= 1 << rng.randrange(8)
        path.write_bytes(changed)
    elif kind == "digit":
        places = [i for i, byte in enumerate(data) if byte in b"0123456789"]
        changed = bytearray(data)
        if places:
            place = rng.choice(places)
            changed[place] = ord("0") + (changed[place] - ord("0") + rng.randrange(1, 10)) % 10
        path.write_bytes(changed)
    elif kind == "cut":
        path.write_bytes(data[: rng.randrange(len(data) or 1)])
    elif kind == "replace":
        path.write_bytes(rng.choice(replacements(data, other.read_bytes())))
    elif kind == "empty":
        path.write_bytes(b"")
    else:
        path.unlink()
        if kind == "folder":
            path.mkdir()
    return f"{kind} {path}"


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def kinds_of(folder: Path) -> list[list[Path]]:
    """The files of a folder by what they are, so that none is damaged more often than others."""
    kinds: dict[str, list[Path]] = {}
    for path in files_of(folder):
        parts = path.relative_to(folder).parts
        arrays = "d" in parts
        kinds.setdefault(f"{parts[0]} {'d' if arrays else parts[-1]}", []).append(path)
    return list(kinds.values())


@pytest.fixture(scope="module")
def config():
    return Config(
        batch_size=32,
        epochs=None,
        steps=STEPS,
        log_every_steps=2,
        num_devices=1,
        data=DataConfig(name="digits", image_size=8),
        model=ModelConfig(name="mlp", options={"hidden": (16,)}),
        checkpoint=CheckpointConfig(every_steps=4, keep=3),
    )


@pytest.fixture(scope="module")
def compiled(config):
    return CompiledSteps(config, load_data(config))


@pytest.fixture(scope="module")
def finished(config, compiled, tmp_path_factory):
    """A run that was trained to its end."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    fit(config, folder, compiled=compiled, callbacks=[Quiet()])
    return folder


@pytest.fixture(scope="module")
def unfinished(config, compiled, tmp_path_factory):
    """A run that was killed between its second and its third checkpoint."""
    folder = tmp_path_factory.mktemp("unfinished") / "run"

    def stop():
        raise RuntimeError("as if killed")

    with pytest.raises(RuntimeError, match="as if killed"):
        fit(config, folder, compiled=compiled, callbacks=[Quiet(10, stop)])
    return folder


def damaged_copy(pristine: Path, folder: Path, rng: random.Random) -> str:
    """A copy of a run with one damaged file, and at times without its checksums as well."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(pristine, folder)
    path = rng.choice(rng.choice(kinds_of(folder)))
    done = damage(path, rng.choice(files_of(folder)), rng)
    if path.name in ("config.json", "dataset.json") and rng.random() < 0.5:
        (folder / CHECKSUMS).unlink()
        done += " without checksums"
    return done


def weights_of(folder: Path, compiled: CompiledSteps) -> tuple[object, list[str]]:
    """What `load_run` restores, and what it reports; the network is built once for all cases."""
    told: list[str] = []
    run = Workdir(folder)
    config, record = run.config(), run.dataset_record()
    same = config == compiled.config
    experiment = compiled.experiment(config) if same else build_experiment(config, record.info)
    target = compiled.parallel.abstract(
        {"state": experiment.abstract_state(), "metrics": experiment.zero_metrics()}
    )
    step, carry, meta = CheckpointReader(folder, report=told.append).restore(target, "best")
    leaves = [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(carry)]
    return (leaves, step, meta, record, config), told


def record_of(folder: Path, _: object) -> tuple[object, list[str]]:
    """What a report reads, and what it reports."""
    (record,) = read_records([folder])
    confusion = None if record.confusion is None else record.confusion.tolist()
    content = (record.config, record.info, record.rows, record.result, confusion, record.starts)
    return content, record.problems


def readers_of(done: str) -> list:
    """Who may read the damaged file: a report reads no checkpoint, and of the rest all."""
    if "/checkpoints/" in done:
        return [weights_of]
    return [record_of, weights_of] if any(n in done for n in ("config", "dataset")) else [record_of]


@pytest.mark.parametrize("part", range(PARTS))
def test_a_damaged_run_is_never_read_wrong_in_silence(finished, compiled, tmp_path, part):
    rng = random.Random(part)
    folder = tmp_path / "run"
    wanted = {read: read(finished, compiled)[0] for read in (weights_of, record_of)}
    noticed = 0
    for _ in range(CASES_OF_A_RUN):
        done = damaged_copy(finished, folder, rng)
        for read in readers_of(done):
            try:
                found, told = read(folder, compiled)
            except (UserError, OSError):  # of either, the command line prints one sentence
                noticed += 1
                continue
            except Exception as error:
                raise AssertionError(f"{done}: {read.__name__} raised {error!r}") from error
            assert told or found == wanted[read], f"{done}: {read.__name__}"
            noticed += bool(told)
    assert noticed > CASES_OF_A_RUN / 5


@pytest.mark.parametrize("part", range(PARTS))
def test_a_damaged_run_is_never_resumed_wrong_in_silence(
    config, compiled, finished, unfinished, tmp_path, part
):
    rng = random.Random(1000 + part)
    folder = tmp_path / "run"
    wanted = (rows(finished), Workdir(finished).result()["test"])
    for _ in range(CASES_OF_RESUMING):
        done = damaged_copy(unfinished, folder, rng)
        display = Quiet()
        try:
            asked = Workdir(folder).config() if Workdir(folder).has_run else config
            own = compiled if asked == config else None
            result = fit(asked, folder, compiled=own, callbacks=[display])
        except (UserError, OSError):
            continue
        except Exception as error:
            raise AssertionError(f"{done}: {error!r}") from error
        said = " ".join(display.notes)
        assert result["test"] == wanted[1], done
        assert rows(folder) == wanted[0] or "metrics.jsonl" in said, done


@pytest.mark.parametrize("part", range(PARTS))
def test_a_damaged_cache_is_never_read_wrong(tmp_path, monkeypatch, part):
    rng = random.Random(2000 + part)
    monkeypatch.setenv("CNNLAB_CACHE", str(tmp_path))
    images = np.random.default_rng(0).integers(0, 256, (12, 4, 4, 1), np.uint8)
    splits = {
        "train": ArraySource(images[:8], np.arange(8) % 3),
        "test": ArraySource(images[8:], np.arange(4) % 3),
    }
    for _ in range(CASES_OF_THE_CACHE):
        cached("key", lambda: splits)
        paths = files_of(tmp_path)
        damage(rng.choice(paths), rng.choice(paths), rng)
        found = cached("key", lambda: splits)
        for split, source in splits.items():
            np.testing.assert_array_equal(found[split].images, source.images)
            np.testing.assert_array_equal(found[split].labels, source.labels)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study of four trials, with its table, page and pictures."""
    folder = tmp_path_factory.mktemp("study") / "study"
    sweep.run({"x": "uniform(0, 1)"}, parabola, folder=folder, trials=4, sampler="random")
    return folder


def trials_of(folder: Path) -> dict[int, object]:
    """The complete trials of a study, without places."""
    results = open_study(folder, None, storage_url=None, trials=None).results()
    return {
        trial.number: dataclasses.replace(trial, workdir="")
        for trial in results.trials
        if trial.state == "complete"
    }


@pytest.mark.parametrize("part", range(PARTS))
def test_a_damaged_study_is_never_read_wrong_in_silence(study, tmp_path, part):
    """Of a journal that has lost its end, the trials before it are what they were."""
    rng = random.Random(3000 + part)
    folder = tmp_path / "study"
    wanted = trials_of(study)
    assert len(wanted) == 4
    noticed = 0
    for _ in range(CASES_OF_A_STUDY):
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(study, folder)
        chosen = [path for path in files_of(folder) if path.name in ("journal.log", "study.json")]
        path = rng.choice(chosen if rng.random() < 0.8 else files_of(folder))
        done = damage(path, rng.choice(files_of(folder)), rng)
        try:
            found = trials_of(folder)
        except (UserError, OSError):
            noticed += 1
            continue
        except Exception as error:
            raise AssertionError(f"{done}: {error!r}") from error
        assert found.items() <= wanted.items(), done
        assert found == wanted or path.name == "journal.log", done
    assert noticed > CASES_OF_A_STUDY / 5
