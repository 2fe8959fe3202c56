"""Every flipped, cut or missing byte of a checkpoint is noticed, and survived."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.errors import UserError
from cnnlab.storage.manifest import MANIFEST, DamagedError, check_files
from cnnlab.train.checkpoints.writer import CheckpointReader, CheckpointWriter


def state_of(step):
    values = np.random.default_rng(step)
    return {
        "params": {
            "kernel": jnp.asarray(values.normal(size=(3, 4)), jnp.float32),
            "bias": jnp.asarray(values.normal(size=3), jnp.bfloat16),
        },
        "step": jnp.int32(step),
    }


def assert_is_state_of(step, state):
    wanted = state_of(step)
    assert int(state["step"]) == step
    for name in ("kernel", "bias"):
        got = np.asarray(state["params"][name])
        assert got.tobytes() == np.asarray(wanted["params"][name]).tobytes()


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    """Steps 10, 20, 30 with metrics 0.1, 0.9, 0.5."""
    workdir = tmp_path_factory.mktemp("pristine")
    with CheckpointWriter(workdir, keep=3) as writer:
        for step, metric in ((10, 0.1), (20, 0.9), (30, 0.5)):
            writer.save(step, state_of(step), metric=metric, meta={"step": step})
    return workdir


@pytest.fixture
def workdir(pristine, tmp_path):
    """A copy to be damaged."""
    return shutil.copytree(pristine, tmp_path / "run")


# Orbax writes these two at the end, and reads them nowhere.
UNREAD = ("_CHECKPOINT_METADATA", "commit_success.txt")


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def protected_files_of(folder: Path) -> list[Path]:
    return [path for path in files_of(folder) if path.name not in UNREAD]


def snapshot(folder: Path) -> dict[str, object]:
    """Names, sizes, contents and times of all that is in a folder."""
    return {
        str(path.relative_to(folder)): (
            path.stat().st_mtime_ns,
            path.read_bytes() if path.is_file() else None,
        )
        for path in folder.rglob("*")
    }


def flip(path: Path, position: int, bits: int = 1) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= bits
    path.write_bytes(data)


def assert_survived(workdir: Path, damaged_name: str) -> None:
    """A reader falls back from 30 to 20, changing nothing; then a writer does and clears up."""
    told = []
    before = snapshot(workdir)
    step, state, meta = CheckpointReader(workdir, report=told.append).restore(state_of(0))
    assert step == 20
    assert meta == {"step": 20}
    assert_is_state_of(20, state)
    assert "Checkpoint 30" in told[0]
    assert damaged_name in told[0]
    assert "Restored step 20 instead of 30" in told[1]
    assert snapshot(workdir) == before

    told.clear()
    with CheckpointWriter(workdir, keep=3, report=told.append) as writer:
        assert writer.steps() == [10, 20]
        step, state, _ = writer.restore(state_of(0))
        assert step == 20
        assert_is_state_of(20, state)
        assert len(told) == 1
        assert damaged_name in told[0]
        aside = writer.directory / "damaged" / "30"
        assert snapshot(aside) == snapshot_below(before, "checkpoints/30/")
        writer.save(30, state_of(30))
        assert_is_state_of(30, writer.restore(state_of(0)).state)


def snapshot_below(whole: dict[str, object], prefix: str) -> dict[str, object]:
    return {name[len(prefix) :]: v for name, v in whole.items() if name.startswith(prefix)}


def test_every_flipped_byte_of_every_file_is_noticed(workdir):
    folder = workdir / "checkpoints" / "30"
    protected = {folder / name for name in (*check_files(folder), MANIFEST)}
    flipped = 0
    for path in files_of(folder):
        if path not in protected:
            assert path.name in UNREAD
            continue
        original = path.read_bytes()
        for position in range(len(original)):
            # Every position, and over the positions every bit and whole bytes.
            bits = (*(1 << bit for bit in range(8)), 255)[position % 9]
            changed = bytearray(original)
            changed[position] ^= bits
            path.write_bytes(changed)
            with pytest.raises(DamagedError, match=path.name.replace(".", r"\.")):
                check_files(folder)
            flipped += 1
        path.write_bytes(original)
    check_files(folder)
    assert flipped > 3000


def test_every_cut_or_missing_file_is_noticed(workdir):
    folder = workdir / "checkpoints" / "30"
    reader = CheckpointReader(workdir)
    for path in protected_files_of(folder):
        original = path.read_bytes()
        size = len(original)
        for wrong in (b"", original[:1], original[: size // 2], original[:-1], original + b"\0"):
            path.write_bytes(wrong)
            said = f"has {len(wrong)} bytes instead of {size}"
            with pytest.raises(DamagedError, match=said if path.name != MANIFEST else MANIFEST):
                reader.verify(30)
        path.unlink()
        with pytest.raises(DamagedError, match="missing"):
            reader.verify(30)
        path.write_bytes(original)
    reader.verify(30)


def test_every_missing_directory_is_noticed(workdir, tmp_path):
    folder = workdir / "checkpoints" / "30"
    directories = [path for path in folder.rglob("*") if path.is_dir()]
    assert len(directories) > 3
    for directory in directories:
        elsewhere = directory.rename(tmp_path / "elsewhere")
        with pytest.raises(DamagedError, match="missing"):
            CheckpointReader(workdir).verify(30)
        elsewhere.rename(directory)
    CheckpointReader(workdir).verify(30)


def test_flips_in_each_file_are_survived(pristine, tmp_path):
    names = [
        path.relative_to(pristine / "checkpoints" / "30")
        for path in protected_files_of(pristine / "checkpoints" / "30")
    ]
    assert {str(name).split("/")[0] for name in names} >= {"_METADATA", "d", MANIFEST}
    for number, name in enumerate(names):
        workdir = shutil.copytree(pristine, tmp_path / str(number))
        path = workdir / "checkpoints" / "30" / name
        flip(path, path.stat().st_size * number // len(names), 255)
        assert_survived(workdir, name.name)


def test_flips_in_what_nobody_reads_change_nothing(workdir):
    for name in UNREAD:
        flip(workdir / "checkpoints" / "30" / name, 5, 255)
    restored = CheckpointReader(workdir, report=pytest.fail).restore(state_of(0))
    assert restored.step == 30
    assert_is_state_of(30, restored.state)


def test_a_cut_file_a_missing_file_and_a_missing_directory_are_survived(pristine, tmp_path):
    for number, (name, damage) in enumerate(
        [
            ("_METADATA", lambda path: os.truncate(path, 100)),
            ("manifest.ocdbt", Path.unlink),
            ("ocdbt.process_0", shutil.rmtree),
            ("d", shutil.rmtree),
            (MANIFEST, Path.unlink),
        ]
    ):
        workdir = shutil.copytree(pristine, tmp_path / str(number))
        damage(workdir / "checkpoints" / "30" / name)
        assert_survived(workdir, name)


@pytest.mark.parametrize("manifest_of", [None, 20, "another run"])
def test_a_checkpoint_counts_once_it_is_sealed_by_its_own_manifest(workdir, tmp_path, manifest_of):
    """Also where its arrays are whole for Orbax."""
    folder = workdir / "checkpoints" / "30"
    if manifest_of is None:
        (folder / MANIFEST).unlink()
    elif manifest_of == 20:
        shutil.copy(workdir / "checkpoints" / "20" / MANIFEST, folder / MANIFEST)
    else:
        wrong = state_of(30)
        wrong["params"]["kernel"] = wrong["params"]["kernel"].at[1, 2].multiply(-1)
        with CheckpointWriter(tmp_path / "other") as other:
            other.save(30, wrong)
        shutil.copy(other.directory / "30" / MANIFEST, folder / MANIFEST)
    assert_survived(workdir, MANIFEST if manifest_of is None else "file")


def test_a_seal_is_broken_by_every_change_of_the_manifest(workdir):
    path = workdir / "checkpoints" / "30" / MANIFEST
    reader = CheckpointReader(workdir, report=lambda _: None)
    noticed = 0
    for position in range(0, path.stat().st_size, 29):
        flip(path, position, 1 << position % 8)
        restored = reader.restore(state_of(0))
        assert_is_state_of(restored.step, restored.state)
        assert restored.meta == {"step": restored.step}
        noticed += restored.step != 30
        flip(path, position, 1 << position % 8)
    assert noticed > 20


def test_a_renamed_checkpoint_is_not_taken_for_another_step(workdir):
    shutil.copytree(workdir / "checkpoints" / "20", workdir / "checkpoints" / "40")
    told = []
    restored = CheckpointReader(workdir, report=told.append).restore(state_of(0))
    assert restored.step == 30
    assert "holds step 20, under the name of 40" in told[0]


def test_best_falls_back_to_the_next_best_and_then_to_the_latest(workdir):
    with CheckpointWriter(workdir, keep=5) as writer:
        writer.save(40, state_of(40))
        writer.save(50, state_of(50))
    told = []
    reader = CheckpointReader(workdir, report=told.append)
    assert reader.restore(state_of(0), "best").step == 20
    assert told == []
    damaged = []
    for step, expected in ((20, 30), (30, 10), (10, 50), (50, 40)):
        flip(workdir / "checkpoints" / str(step) / "_METADATA", 5)
        damaged.append(step)
        told.clear()
        restored = reader.restore(state_of(0), "best")
        assert restored.step == expected
        assert_is_state_of(expected, restored.state)
        assert [int(line.split()[1]) for line in told[:-1]] == damaged
        among = ", ".join(map(str, sorted(damaged)))
        assert told[-1].startswith(f"Restored step {expected} instead of {among}.")


def test_best_passes_one_whose_metric_cannot_be_read(workdir):
    flip(workdir / "checkpoints" / "20" / MANIFEST, 20)
    told = []
    reader = CheckpointReader(workdir, report=told.append)
    assert reader.best_step() == 30
    assert reader.restore(state_of(0), "best").step == 30
    assert "Checkpoint 20" in told[0]
    assert "Restored step 30 instead of 20" in told[1]


def test_a_step_asked_for_by_number_is_never_replaced(workdir):
    flip(workdir / "checkpoints" / "20" / "_METADATA", 40)
    flip(workdir / "checkpoints" / "10" / MANIFEST, 40)
    before = snapshot(workdir)
    message = r"Checkpoint 20 .* is damaged: file _METADATA was changed.* Undamaged: 30\."
    with pytest.raises(UserError, match=message):
        CheckpointReader(workdir, report=lambda _: None).restore(state_of(0), 20)
    assert snapshot(workdir) == before


def test_where_nothing_verifies_nothing_is_restored_or_moved(workdir):
    for step in (10, 20, 30):
        flip(workdir / "checkpoints" / str(step) / "_METADATA", step)
    before = snapshot(workdir / "checkpoints" / "30")
    with pytest.raises(UserError, match=r"All checkpoints in .* are damaged \(30: .*; 20: .*; 10:"):
        CheckpointReader(workdir, report=lambda _: None).restore(state_of(0))
    # Training must not start anew on top of what was lost, again and again.
    for _ in range(2):
        with pytest.raises(UserError, match="All checkpoints in"):
            CheckpointWriter(workdir, report=lambda _: None)
    assert snapshot(workdir / "checkpoints" / "30") == before


def test_damage_while_the_run_is_going_on(workdir):
    told = []
    with CheckpointWriter(workdir, keep=3, report=told.append) as writer:
        flip(workdir / "checkpoints" / "30" / "_METADATA", 3)
        assert writer.restore(state_of(0)).step == 20
        assert [line for line in told if "moved to" in line]
        assert writer.steps() == [10, 20]
        writer.save(30, state_of(30), metric=0.5)
        writer.wait()
        assert writer.steps() == [10, 20, 30]
        assert_is_state_of(30, writer.restore(state_of(0)).state)
    assert (workdir / "checkpoints" / "damaged" / "30").is_dir()


def test_a_surplus_checkpoint_is_removed_at_the_next_start(workdir):
    """It is what a kill leaves between a save and the removal of what that replaces."""
    with CheckpointWriter(workdir, keep=1, report=pytest.fail) as writer:
        assert writer.steps() == [20, 30]
    assert {path.name for path in writer.directory.iterdir()} == {"20", "30", ".lock"}


def test_damage_to_an_older_checkpoint_does_not_stop_the_saving(workdir):
    with CheckpointWriter(workdir, keep=4, report=pytest.fail) as writer:
        folder = workdir / "checkpoints"
        for path in files_of(folder / "10"):
            path.write_bytes(b"garbage")
        shutil.rmtree(folder / "20")
        (folder / "20").mkdir()
        for path in files_of(folder / "30"):
            path.write_bytes(b"")
        for step in (40, 50):
            writer.save(step, state_of(step))
        writer.wait()
        assert writer.steps() == [40, 50]
        assert_is_state_of(50, writer.restore(state_of(0)).state)


def test_twice_damaged_is_twice_kept(workdir):
    for _ in range(2):
        flip(workdir / "checkpoints" / "30" / "_METADATA", 3)
        with CheckpointWriter(workdir, report=lambda _: None) as writer:
            writer.save(30, state_of(30))
    damaged = workdir / "checkpoints" / "damaged"
    assert {path.name for path in damaged.iterdir()} == {"30", "30-2"}


def test_empty_and_foreign_folders_and_remains_of_a_killed_run(workdir):
    checkpoints = workdir / "checkpoints"
    (checkpoints / "40").mkdir()
    (checkpoints / "50" / "state").mkdir(parents=True)
    (checkpoints / "60").mkdir()
    (checkpoints / "60" / "notes.txt").write_text("mine")
    (checkpoints / "70").write_text("a file")
    (checkpoints / "notes").mkdir()
    (checkpoints / "0080").mkdir()
    (checkpoints / ".deleted" / "5").mkdir(parents=True)
    (checkpoints / "90.orbax-checkpoint-tmp-123" / "state").mkdir(parents=True)

    told = []
    before = snapshot(workdir)
    reader = CheckpointReader(workdir, report=told.append)
    assert reader.steps() == [10, 20, 30]
    assert reader.restore(state_of(0)).step == 30
    assert {line.split()[1] for line in told[:-1]} == {"40", "50", "60", "70"}
    assert snapshot(workdir) == before

    told.clear()
    with CheckpointWriter(workdir, keep=3, report=told.append) as writer:
        assert not (checkpoints / "90.orbax-checkpoint-tmp-123").exists()
        assert not (checkpoints / ".deleted").exists()
        assert_is_state_of(30, writer.restore(state_of(0)).state)
        writer.save(40, state_of(40))
    names = {path.name for path in checkpoints.iterdir()}
    assert names == {"20", "30", "40", "notes", "0080", "damaged", ".lock"}
    assert {path.name for path in (checkpoints / "damaged").iterdir()} == {"40", "50", "60", "70"}
    assert (checkpoints / "damaged" / "60" / "notes.txt").read_text() == "mine"
    for thing in ("40", "50", "60", "70", "notes", "0080", "90.orbax-checkpoint-tmp-123"):
        assert sum(thing in line.replace(str(workdir), "") for line in told) == 1, thing


def test_only_empty_folders_are_no_checkpoint(tmp_path):
    (tmp_path / "checkpoints" / "4").mkdir(parents=True)
    with CheckpointWriter(tmp_path, report=lambda _: None) as writer:
        assert writer.steps() == []
        writer.save(4, state_of(4))
        assert_is_state_of(4, writer.restore(state_of(0)).state)


@pytest.fixture
def read_only(pristine, tmp_path):
    """A run on a disk mounted read-only where that is allowed, else under folders that are."""
    mounted = tmp_path / "disk"
    mounted.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(mounted)]
    if os.geteuid() == 0:
        if shutil.which("mount") is None or subprocess.run(mount, stderr=-3).returncode:
            pytest.skip("root writes everywhere, and may not mount here")
        shutil.copytree(pristine, mounted / "run")
        subprocess.run(["mount", "-o", "remount,ro", str(mounted)], check=True)
        yield mounted / "run"
        subprocess.run(["umount", str(mounted)], check=True)
    else:
        shutil.copytree(pristine, mounted / "run")
        folders = [mounted / "run", *(p for p in mounted.rglob("*") if p.is_dir())]
        for path in folders:
            path.chmod(0o555)
        yield mounted / "run"
        for path in folders:
            path.chmod(0o755)


def test_a_reader_works_on_a_read_only_disk_and_a_writer_says_why_not(read_only):
    reader = CheckpointReader(read_only)
    assert reader.best_step() == 20
    assert_is_state_of(30, reader.restore(state_of(0)).state)
    assert_is_state_of(20, reader.restore(state_of(0), "best").state)
    with pytest.raises(UserError, match=r"Cannot write checkpoints to .*checkpoints: "):
        CheckpointWriter(read_only)


def test_the_manifest_is_json_that_a_person_can_read(workdir):
    _, _, text = (workdir / "checkpoints" / "20" / MANIFEST).read_text().partition("\n")
    record = json.loads(text)["info"]
    assert record["step"] == 20
    assert record["metric"] == 0.9
    assert record["leaves"]["params/bias"]["dtype"] == "bfloat16"
