"""A damaged journal is reported by line, or read without what was lost; never a wrong number."""

import random

import pytest

from cnnlab import sweep
from cnnlab.errors import UserError
from cnnlab.sweep.study.study import open_study
from tests.sweep.objectives import curve
from tests.sweep.test_study import told

OPTIONS = {"sampler": "random", "pruner": "asha", "direction": "maximize"}
SPACE = {"x": "uniform(0, 1)"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The lines of the journal of a study of six trials, and what it says."""
    folder = tmp_path_factory.mktemp("whole") / "study"
    results = sweep.run(SPACE, curve, folder=folder, trials=6, **OPTIONS)
    assert results.counts["pruned"] > 1
    return (folder / "journal.log").read_bytes().splitlines(keepends=True), results


@pytest.fixture
def study(whole, tmp_path):
    """Makes a study with other bytes for its journal."""

    def make(journal):
        folder = tmp_path / "study"
        if not folder.exists():
            sweep.run(SPACE, curve, folder=folder, trials=6, **OPTIONS)
        (folder / "journal.log").write_bytes(journal)
        return folder

    return make


def results_of(folder):
    return open_study(folder, None, storage_url=None, trials=None).results()


def test_every_damage_in_the_middle_names_its_line(whole, study):
    lines, _ = whole
    dice = random.Random(0)
    for _ in range(60):
        at = dice.randrange(len(lines) - 1)
        line = bytearray(lines[at])
        match dice.randrange(5):
            case 0:  # one byte, which may leave it JSON
                position = dice.randrange(len(line) - 1)
                line[position] ^= 1 << dice.randrange(7)
                if line[position] == ord("\n"):
                    continue
            case 1:
                line = b"\0" * (len(line) - 1) + b"\n"
            case 2:
                line = line[: dice.randrange(1, len(line) - 1)] + b"\n"
            case 3:
                line = dice.choice([b"null\n", b"[]\n", b"{}\n", b"garbage\n", b"\xff\xfe\n"])
            case 4:  # lost: the next one does not follow
                line = b""
        journal = b"".join([*lines[:at], line, *lines[at + 1 :]])
        with pytest.raises(UserError, match=rf"journal.log, line {at + 1} is damaged"):
            results_of(study(journal))


def test_a_description_that_is_not_what_was_written(study):
    """Of another kind, another encoding, cut, or with one digit changed."""
    folder = study(b"")
    path = folder / "study.json"
    text, dice = path.read_bytes(), random.Random(2)
    damaged = [
        b"",
        b"null",
        b"[]",
        b"1",
        b"{}",
        b"\xff\xfe",
        b"[" * 100_000,
        text[: len(text) // 2],
    ]
    digits = [at for at, byte in enumerate(text) if chr(byte).isdigit()]
    for at in dice.sample(digits, 6):
        damaged.append(text[:at] + b"%d" % ((text[at] - ord("0") + 1) % 10) + text[at + 1 :])
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(UserError, match=r"study.json is damaged"):
            results_of(folder)


def test_blank_and_unfinished_lines_are_recovered(whole, study):
    lines, results = whole
    folder = study(b"".join([b"\n", *lines[:7], b"  \n", b"\n", *lines[7:], b'{"op_code": 4, "w']))
    assert told(results_of(folder)) == told(results)
    again = sweep.run(SPACE, curve, folder=folder, trials=8, **OPTIONS)
    assert told(again)[:6] == told(results)
    assert sum(again.counts.values()) == 8


def test_whatever_tail_is_lost_the_study_ends_the_same(whole, study):
    lines, results = whole
    assert len(lines) > 30
    journal = b"".join(lines)
    starts = [sum(map(len, lines[:n])) for n in range(4, len(lines))]
    dice = random.Random(1)
    for cut in dice.sample(starts, 8) + [dice.randrange(starts[0], len(journal)) for _ in "12345"]:
        folder = study(journal[:cut])
        assert told(sweep.run(SPACE, curve, folder=folder, trials=6, **OPTIONS)) == told(results)
