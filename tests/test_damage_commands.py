"""Damages studies and populations, and calls the commands that read them.

A case passes where the command ends with one sentence, or gives what it gives without the damage.
"""

import json
import random
import shutil

import pytest

from cnnlab.cli.main import main
from cnnlab.sweep.study import results
from tests.test_damage import damage, files_of, kinds_of

TINY = [
    "--config=mlp_digits", "--config.epochs=none", "--config.steps=8", "--config.num_devices=1",
    "--config.data.image_size=8", "--config.model.options.hidden=(16,)",
]  # fmt: skip
CASES_OF_STATUS, CASES_OF_RESUMING, CASES_OF_REPORTS, CASES_OF_PBT = 24, 6, 10, 6
PARTS = [0, *(pytest.param(part, marks=pytest.mark.slow) for part in range(1, 4))]


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch):
    """They take most of a command's time, and read nothing from the disk."""
    monkeypatch.setattr(results, "_save", lambda picture, path: None)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Four trials, of which the second was pruned and the last is the best."""
    folder = tmp_path_factory.mktemp("study") / "study"
    asked = ["--param=optimizer.learning_rate=[0.01, 1e-6, 0.02, 0.03]", "--sampler=grid"]
    fast = ["--pruner=asha", "--population=off", "--config.evaluation.every_epochs=0.1"]
    assert main(["launch.py", "sweep", *TINY, *asked, *fast, f"--study={folder}"]) == 0
    return folder


def call(capsys, done, *arguments):
    """The JSON that a command prints, or None where it ends with one sentence."""
    capsys.readouterr()
    try:
        status = main(["launch.py", *arguments, "--json"])
    except Exception as error:
        raise AssertionError(f"{done}: {error!r}") from error
    out, err = capsys.readouterr()
    assert "Traceback" not in err, done
    if status == 0:
        return json.loads(out.strip().splitlines()[-1])
    assert status == 1, done
    assert err.splitlines()[-1].startswith(("error: ", "  ", "Choose another")), f"{done}: {err}"
    return None


def damage_of_a_study(folder, rng):
    """Damages the journal, the description or another file; at times the journal loses its end."""
    kinds = kinds_of(folder)
    central = [[folder / "journal.log"], [folder / "study.json"]]
    path = rng.choice(rng.choice(central if rng.random() < 0.6 else kinds))
    done = damage(path, rng.choice(files_of(folder)), rng)
    journal = folder / "journal.log"
    if journal.is_file() and rng.random() < 0.3:
        lines = journal.read_bytes().splitlines(keepends=True)
        kept = rng.randrange(len(lines) + 1)
        journal.write_bytes(b"".join(lines[:kept]))
        done += f", and the journal ends after line {kept}"
    return done


def rows_of(folder):
    """State and value of each trial, by its number, as the table has them."""
    lines = (folder / "trials.csv").read_text().splitlines()[1:]
    return {line.split(",")[0]: tuple(line.split(",")[1:3]) for line in lines}


@pytest.mark.parametrize("part", PARTS)
def test_the_status_of_a_damaged_study(study, tmp_path, capsys, part):
    """Trials that have ended are as they were, or not there; a pruned one is never complete."""
    rng = random.Random(part)
    folder = tmp_path / "study"
    wanted, noticed = rows_of(study), 0
    assert [state for state, _ in wanted.values()] == ["complete", "pruned", *["complete"] * 2]
    for _ in range(CASES_OF_STATUS):
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(study, folder)
        done = damage_of_a_study(folder, rng)
        found = call(capsys, done, "sweep", f"--study={folder}", "--status")
        if found is None:
            noticed += 1
            continue
        rows = rows_of(folder)
        ended = {n: row for n, row in rows.items() if row[0] not in ("running", "waiting")}
        assert ended.items() <= wanted.items(), done
        values = [float(value) for state, value in ended.values() if state == "complete"]
        assert (found["best"] or {"value": None})["value"] == max(values, default=None), done
    assert noticed > CASES_OF_STATUS / 5


@pytest.mark.parametrize("part", PARTS)
def test_a_damaged_study_that_is_resumed(study, tmp_path, capsys, part):
    """What was lost is trained again: the same trials, and the same best config."""
    rng = random.Random(100 + part)
    folder = tmp_path / "study"
    wanted = rows_of(study)
    best = (study / "best.json").read_text()
    for _ in range(CASES_OF_RESUMING):
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(study, folder)
        done = damage_of_a_study(folder, rng)
        found = call(capsys, done, "sweep", f"--study={folder}", "--population=off")
        if found is None:
            continue
        rows = rows_of(folder)
        # A trial whose run is damaged fails, and says so; the others are what they were.
        assert rows.keys() == wanted.keys(), done
        failed = {number for number, (state, _) in rows.items() if state == "failed"}
        assert all(rows[n] == wanted[n] for n in rows.keys() - failed), done
        assert failed or (folder / "best.json").read_text() == best, done


@pytest.mark.parametrize("part", PARTS)
def test_a_report_on_a_damaged_study(study, tmp_path, capsys, part):
    rng = random.Random(200 + part)
    folder, page = tmp_path / "study", tmp_path / "page.html"
    for _ in range(CASES_OF_REPORTS):
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(study, folder)
        kinds = [kind for kind in kinds_of(folder / "trials") if "checkpoints" not in str(kind[0])]
        done = damage(rng.choice(rng.choice(kinds)), rng.choice(files_of(folder)), rng)
        call(capsys, done, "report", str(folder / "trials"), "--pictures=0", f"--out={page}")


@pytest.fixture(scope="module")
def population(tmp_path_factory):
    """The flags of a population, its folder when it was killed after a round, and its result."""
    folder = tmp_path_factory.mktemp("population")
    flags = [*TINY, "--param=optimizer.learning_rate=log(1e-3, 1e-1)", "--every_steps=4",
             "--members=2", "--truncation=0.5", "--mode=vmap"]  # fmt: skip
    assert main(["launch.py", "pbt", *flags, f"--study={folder}/whole"]) == 0
    shutil.copytree(folder / "whole", folder / "half")
    for member in (folder / "half" / "members").iterdir():
        shutil.rmtree(member / "checkpoints" / "8")
        (member / "result.json").unlink()
    return flags, folder / "half", json.loads((folder / "whole" / "result.json").read_text())


@pytest.mark.parametrize("part", PARTS)
def test_a_damaged_population_that_is_resumed(population, tmp_path, capsys, part):
    flags, pristine, wanted = population
    rng = random.Random(300 + part)
    folder = tmp_path / "population"
    for _ in range(CASES_OF_PBT):
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(pristine, folder)
        kinds = [*kinds_of(folder), *kinds_of(folder / "members" / "00")]
        done = damage(rng.choice(rng.choice(kinds)), rng.choice(files_of(folder)), rng)
        found = call(capsys, done, "pbt", *flags, f"--study={folder}")
        if found is not None:
            same = ("best_member", "metric", "schedule")
            assert [found[n] for n in same] == [wanted[n] for n in same], done
