"""Runs in an object store, on a server of this machine: killed, resumed elsewhere, and read."""

import contextlib
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from functools import partial

import numpy as np
import pytest
from PIL import Image

from cnnlab import sweep
from cnnlab.classical import load_run as load_baseline
from cnnlab.cli.commands import train as train_command
from cnnlab.cli.main import main
from cnnlab.config import apply_overrides, to_json
from cnnlab.errors import UserError
from cnnlab.inference import load_run
from cnnlab.inference.run import evaluate_run
from cnnlab.report.run_page.run_record import find_runs, read_records
from cnnlab.storage import object_store
from cnnlab.storage.object_store import StoreError, list_files
from cnnlab.train import Interrupted, fit
from cnnlab.train.checkpoints.reader import CheckpointReader
from cnnlab.train.runtime import hosts, run_mirror
from cnnlab.train.runtime.run_mirror import local_run, written_run
from cnnlab.train.runtime.workdir import Workdir
from tests.train.test_loop import Quiet, assert_same_run, terminate


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    """Call it to be on another machine, without the copies of this one."""
    caches = itertools.count()
    return lambda: monkeypatch.setenv("CNNLAB_CACHE", str(tmp_path / f"cache{next(caches)}"))


def names(url):
    return {name for name in list_files(url) if "events" not in name}


def test_a_run_in_a_store_is_the_run_in_a_folder(tiny_config, bucket, elsewhere, tmp_path):
    url = f"{bucket}/runs/one"
    fit(tiny_config, tmp_path / "local", callbacks=[Quiet()])
    result = fit(tiny_config, url, callbacks=[Quiet()])
    elsewhere()
    assert_same_run(tiny_config, tmp_path / "local", Workdir(url).path)
    local = {p.relative_to(tmp_path / "local").as_posix() for p in (tmp_path / "local").rglob("*")
             if p.is_file() and "events" not in p.name and p.name != ".lock"}  # fmt: skip
    # Orbax names the files of arrays at random.
    assert {n for n in names(url) if "/d/" not in n} == {n for n in local if "/d/" not in n}
    assert evaluate_run(load_run(url))["accuracy"] == result["test"]["accuracy"]
    (record,) = read_records(find_runs([f"{bucket}/runs"]))
    assert (record.name, record.result, record.problems) == ("one", result, [])
    pretrained = apply_overrides(tiny_config, {"model.pretrained": url, "steps": 1})
    warm = fit(pretrained, tmp_path / "warm", callbacks=[Quiet()])
    assert warm["test"]["accuracy"] > result["test"]["accuracy"] - 0.2
    before = list_files(url)
    assert fit(tiny_config, url, callbacks=[display := Quiet()]) == result
    assert f"{url} is complete; nothing is left to train." in display.notes
    changed = {name for name, listed in list_files(url).items() if before.get(name) != listed}
    assert changed == {"environment.json", "checksums.sha256"}
    with pytest.raises(UserError, match=f"{url} holds a run with another config"):
        fit(apply_overrides(tiny_config, {"seed": 1}), url, callbacks=[Quiet()])


class _CutError(Exception):
    """The process is killed between two writes to the store."""


@pytest.fixture
def cut(monkeypatch):
    """Call it with a number of writes after which each upload is cut; None allows all."""
    upload, remove, left = object_store.upload, object_store.remove, [None]

    def counted():
        if left[0] is not None:
            left[0] -= 1
            if left[0] < 0:
                raise _CutError

    def one_by_one(url, files):
        # Several files at once are uploaded in no order: a result before a config is the worst.
        for name, content in sorted(files.items(), reverse=True):
            counted()
            upload(url, {name: content})

    def remove_one_by_one(url, names):
        for name in names:
            counted()
            remove(url, [name])

    monkeypatch.setattr(object_store, "upload", one_by_one)
    monkeypatch.setattr(object_store, "remove", remove_one_by_one)
    return partial(left.__setitem__, 0)


def uploaded(folder, url):
    """Uploads `folder` as if it were the copy in which a run was trained."""
    with written_run(url) as copy:
        shutil.rmtree(copy)
        shutil.copytree(folder, copy)


@pytest.mark.parametrize("every", [60, pytest.param(7, marks=pytest.mark.slow)])
def test_an_upload_that_is_cut_anywhere_leaves_a_run(
    tiny_config, bucket, elsewhere, cut, monkeypatch, tmp_path, every
):
    """A run that begins, one that ends, and one that is trained longer."""
    monkeypatch.setattr(run_mirror, "_SECONDS", 3600.0)
    config = apply_overrides(tiny_config, {"checkpoint.every_steps": 5})
    longer = apply_overrides(config, {"steps": 40})
    work, begun, complete = (tmp_path / name for name in ("work", "begun", "complete"))
    with contextlib.suppress(Interrupted):
        fit(config, work, callbacks=[Quiet(10, terminate)])
    shutil.copytree(work, begun)
    fit(config, work, callbacks=[Quiet()])
    shutil.copytree(work, complete)
    fit(longer, work, callbacks=[Quiet()])

    def trained_longer(url):
        fit(longer, url, callbacks=[Quiet()])

    changes = {
        "begins": (None, partial(uploaded, begun)),
        "ends": (begun, partial(uploaded, complete)),
        "longer": (complete, trained_longer),
    }
    for name, (before, change) in changes.items():
        for number, writes in enumerate(itertools.count(every // 2, every)):
            url = f"{bucket}/{name}/{writes}"
            if before:
                uploaded(before, url)
            cut(2 + writes)  # two are of the check that the store can be written
            try:
                change(url)
                whole = True
            except _CutError:
                whole = False
            cut(None)
            elsewhere()
            folder = Workdir(url)
            if folder.has_run:
                (record,) = read_records([folder.path])
                assert not [problem for problem in record.problems if "SHA" in problem]
            reader = CheckpointReader(folder.path)
            for step in reader.steps():
                reader.verify(step)
                accepted = reader._info(step)["files_of_run"]
                assert all(digest in accepted[n] for n, digest in reader._digests().items())
            assert before is None or reader.steps()
            if whole or number % 8 == 1:
                told = Quiet()
                for its_config in [longer] if before == complete else [config, longer]:
                    fit(its_config, url, callbacks=[told])
                assert not [note for note in told.notes if "damage" in note or "edited" in note]
                assert_same_run(longer, work, Workdir(url).path)
            if whole:
                break


_TRAIN = """
import sys
from pathlib import Path
from cnnlab.config import from_json
from cnnlab.storage.json_text import read_json
from cnnlab.train import fit
from cnnlab.train.callbacks.base import Callback
from cnnlab.train.runtime import run_mirror
import time

class Slow(Callback):
    def on_log(self, run, row):
        time.sleep(0.5)

run_mirror._SECONDS, run_mirror._SHARE = 0.01, 10.0
fit(from_json(read_json(Path(sys.argv[1]))), sys.argv[2], callbacks=[Slow()])
"""


@pytest.mark.exhaustive
def test_a_run_that_is_killed_again_and_again_on_several_machines(
    tiny_config, bucket, elsewhere, tmp_path
):
    moments = random.Random(0)
    config = apply_overrides(
        tiny_config, {"steps": 240, "log_every_steps": 2, "checkpoint.every_steps": 5}
    )
    url, killed, reached = f"{bucket}/run", 0, [0]
    fit(config, tmp_path / "whole", callbacks=[Quiet()])
    (tmp_path / "config.json").write_text(json.dumps(to_json(config)))
    while killed < 6:
        if moments.random() < 0.5:
            elsewhere()
        training = subprocess.Popen(
            [sys.executable, "-c", _TRAIN, str(tmp_path / "config.json"), url],
            env=os.environ | {"JAX_PLATFORMS": "cpu"},
        )
        goal = reached[-1] + moments.choice((1, 5, 10))
        while training.poll() is None and reached[-1] < goal:
            sealed = [int(name.split("/")[1]) for name in list_files(url)
                      if name.endswith("/MANIFEST.sha256")]  # fmt: skip
            reached.append(max(sealed, default=0))
            time.sleep(0.02)
        time.sleep(moments.uniform(0, 0.3))
        training.send_signal(signal.SIGKILL)
        assert training.wait() == -signal.SIGKILL
        killed += 1
    elsewhere()
    # What was in the store counts on a machine that has nothing else.
    assert reached[-1] >= 6
    fit(config, url, callbacks=[display := Quiet()])
    assert not [note for note in display.notes if "damage" in note or "edited" in note]
    assert_same_run(config, tmp_path / "whole", local_run(url))


def test_two_trainings_of_this_machine_are_kept_apart(bucket):
    url = f"{bucket}/run"
    with written_run(url) as folder:
        (folder / "config.json").write_text("{}")
        script = (
            "import sys\nfrom cnnlab.train.runtime.run_mirror import local_run, written_run\n"
            "print(sorted(path.name for path in local_run(sys.argv[1]).iterdir()))\n"
            "with written_run(sys.argv[1]): pass"
        )
        other = subprocess.run(
            [sys.executable, "-c", script, url], capture_output=True, text=True, check=False
        )
    # A reader takes the copy as it is, with what is not in the store yet.
    assert other.stdout == "['config.json']\n"
    assert f"Process {os.getpid()} is writing into {url}; wait until it ends" in other.stderr
    assert names(url) == {"config.json"}


def test_a_result_comes_after_the_rows_of_the_run(bucket, monkeypatch):
    url, upload, uploads = f"{bucket}/run", object_store.upload, []

    def recorded(address, files):
        uploads.append(set(files))
        upload(address, files)

    monkeypatch.setattr(object_store, "upload", recorded)
    with written_run(url) as folder:
        (folder / "metrics.jsonl").write_text("{}\n")
        Workdir(folder).write("config.json", {})
        Workdir(folder).write("result.json", {})
    rows, result = ([name in some for some in uploads].index(True)
                    for name in ("metrics.jsonl", "result.json"))  # fmt: skip
    assert rows < result


def test_an_upload_that_fails_is_told_and_tried_again(bucket, monkeypatch, capsys):
    url = f"{bucket}/run"
    monkeypatch.setattr(run_mirror, "_SECONDS", 0.01)
    upload = object_store.upload
    calls = itertools.count()

    def fails_twice(address, files):
        if "a" in files and next(calls) < 2:
            raise StoreError("The store is away.")
        upload(address, files)

    monkeypatch.setattr(object_store, "upload", fails_twice)
    with written_run(url) as folder:
        (folder / "a").write_bytes(b"1")
        while "a" not in list_files(url):
            time.sleep(0.01)
    told = "warning: The store is away. Training continues, and the upload is tried again.\n"
    assert capsys.readouterr().err == told

    def fails(address, files):
        raise StoreError("The store is away.")

    with (
        pytest.raises(StoreError, match=r"away\. The files that it lacks are in .*/run; the same"),
        written_run(url) as folder,
    ):
        monkeypatch.setattr(object_store, "upload", fails)
        (folder / "a").write_bytes(b"2")
    monkeypatch.setattr(object_store, "upload", upload)
    with written_run(url) as folder:  # it was ahead, and still is
        assert (folder / "a").read_bytes() == b"2"
    elsewhere = object_store.list_files(url)
    assert elsewhere["a"].size == 1


def test_what_a_store_cannot_serve_is_refused(tiny_config, bucket, monkeypatch):
    for call in (
        lambda: sweep.run({"seed": [0, 1]}, tiny_config, folder=f"{bucket}/study"),
        lambda: sweep.population_based_training(
            tiny_config, {"optimizer.learning_rate": "log(1e-3, 1)"}, f"{bucket}/pbt", every_steps=5
        ),
    ):
        with pytest.raises(UserError, match="is in an object store, which has no locks: choose a"):
            call()
    monkeypatch.setattr(hosts, "several", lambda: True)
    with pytest.raises(UserError, match="only one host can train"), written_run(f"{bucket}/a"):
        pass
    assert names(bucket) == set()


def launch(*arguments):
    return main(["launch.py", *arguments])


def test_commands_on_a_store(bucket, elsewhere, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(train_command, "enable_compilation_cache", lambda: None)
    for number, name in enumerate(("train/a/0", "train/b/1", "test/a/2", "test/b/3")):
        path = tmp_path / "images" / f"{name}.png"
        path.parent.mkdir(parents=True)
        pixels = np.full((8, 8, 3), 60 * number, np.uint8)
        Image.fromarray(pixels).save(path)
        object_store.upload(f"{bucket}/images", {f"{name}.png": path})
    url, out = f"{bucket}/runs/hog", f"{bucket}/out"
    flags = [f"--config.data.name=folder:{bucket}/images", "--config.model.name=hog",
             "--config.data.validation_fraction=0"]  # fmt: skip
    assert launch("train", f"--workdir={url}", *flags) == 0
    assert f"pictures: {url}/confusion_matrix.png" in capsys.readouterr().out
    elsewhere()
    assert launch("eval", f"--workdir={url}", "--json") == 0
    assert json.loads(capsys.readouterr().out)["num_examples"] == 2
    image = str(tmp_path / "images/test/b/3.png")
    assert launch("predict", f"--workdir={url}", image, f"--table={out}/table.csv") == 0
    assert launch("report", f"{bucket}/runs", f"--out={out}/report.html", "--json") == 0
    assert names(out) == {"table.csv", "report.html"}
    assert names(url) >= {"config.json", "result.json", "weights.npz", "confusion_matrix.png"}
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith("s3")]
    assert load_baseline(url).info.class_names == ("a", "b")
