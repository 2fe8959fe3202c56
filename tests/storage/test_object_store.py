"""Object stores: addresses, files and their local copies, on a server of this machine."""

import json
import os
import sys
from pathlib import Path

import fsspec
import pytest

from cnnlab.errors import UserError
from cnnlab.storage import object_store
from cnnlab.storage.mirror import Mirror, local_data
from cnnlab.storage.object_store import StoreError, is_url, list_files, located
from cnnlab.storage.output_file import check_output, check_output_folder, output_file


def contents(url):
    s3 = fsspec.filesystem("s3", use_listings_cache=False)
    prefix = url.removeprefix("s3://")
    return {name.removeprefix(f"{prefix}/"): s3.cat_file(name) for name in s3.find(prefix)}


def pulled(url):
    mirror = Mirror(url)
    with mirror.alone():
        mirror.pull()
    return mirror


def files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_addresses():
    for path in ("s3://bucket/a/b", Path("s3://bucket/a/b"), "s3://bucket//a/b/"):
        assert is_url(path)
        assert located(path) == "s3://bucket/a/b"
    for path in ("runs/a", "/runs/s3:/a", "C:/runs"):
        assert not is_url(path)
        assert located(path) == Path(path)
    with pytest.raises(UserError, match="should be a path, or begin with s3:// or gs://"):
        located("az://bucket/a")
    for path in ("s3://", "s3://bucket/../a"):
        with pytest.raises(UserError, match="should be s3://BUCKET/NAME"):
            located(path)


def test_a_copy_follows_the_store(bucket):
    url = f"{bucket}/data"
    object_store.upload(url, {"a": b"1", "b/c[1]*": b"2"})
    object_store.upload(f"{bucket}/data2", {"no": b"neighbour"})
    folder = pulled(url).folder
    assert files(folder) == {"a": b"1", "b/c[1]*": b"2"}
    unchanged = (folder / "a").stat().st_ino
    object_store.remove(url, ["b/c[1]*", "b/never"])
    object_store.upload(url, {"d": b"3"})
    (folder / "mine").write_bytes(b"4")
    pulled(url)
    assert files(folder) == {"a": b"1", "d": b"3"}
    assert (folder / "a").stat().st_ino == unchanged
    # One that was damaged here is copied again.
    (folder / "a").write_bytes(b"5")
    pulled(url)
    assert (folder / "a").read_bytes() == b"1"


def test_a_copy_that_is_ahead_is_kept_until_the_store_changes(bucket):
    url = f"{bucket}/data"
    object_store.upload(url, {"a": b"1"})
    mirror = pulled(url)
    mirror.set_ahead()
    (mirror.folder / "a").write_bytes(b"12")
    (mirror.folder / "b").write_bytes(b"3")
    pulled(url)
    assert files(mirror.folder) == {"a": b"12", "b": b"3"}
    object_store.upload(url, {"c": b"4"})
    pulled(url)
    assert files(mirror.folder) == {"a": b"1", "c": b"4"}


def test_objects_that_cannot_be_files_are_refused(bucket):
    fsspec.filesystem("s3").pipe_file(f"{bucket.removeprefix('s3://')}/data/../../x", b"1")
    with pytest.raises(UserError, match="cannot be a file here: rename it there"):
        pulled(f"{bucket}/data")


def test_what_a_full_disk_cannot_copy_is_refused(bucket, monkeypatch):
    object_store.upload(f"{bucket}/data", {"a": bytes(100)})
    usage = type("Usage", (), {"free": 99})
    monkeypatch.setattr("cnnlab.storage.mirror.shutil.disk_usage", lambda _: usage)
    with pytest.raises(UserError, match="set CNNLAB_CACHE to a folder on another disk"):
        pulled(f"{bucket}/data")


def test_data_under_an_address(bucket, tmp_path):
    assert local_data(str(tmp_path)) == tmp_path
    object_store.upload(f"{bucket}/data", {"t.csv": b"path,label\n", "a.png": b"1"})
    assert local_data(f"{bucket}/data/t.csv").read_bytes() == b"path,label\n"
    assert (local_data(f"{bucket}/data/t.csv").parent / "a.png").is_file()
    with pytest.raises(UserError, match=rf"There is nothing under {bucket}/other: correct"):
        local_data(f"{bucket}/other")


def test_output_files_are_uploaded_whole_or_not_at_all(bucket):
    path = f"{bucket}/out/a.txt"
    assert check_output(path) == path
    assert list_files(bucket) == {}
    with output_file(Path(path)) as temporary:
        assert temporary.suffix == ".txt"
        temporary.write_text("one")
    with pytest.raises(ZeroDivisionError), output_file(path) as temporary:
        temporary.write_text("two")
        raise ZeroDivisionError
    assert contents(bucket) == {"out/a.txt": b"one"}
    with pytest.raises(UserError, match="is a bucket: name an object"):
        check_output(bucket)
    with pytest.raises(UserError, match="must be a folder here"):
        check_output_folder(path)


def said(call, *arguments):
    with pytest.raises(StoreError) as caught:
        call(*arguments)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)
    return str(caught.value)


def test_mistakes_are_one_sentence(bucket, monkeypatch):
    name = bucket.removeprefix("s3://")
    for call in (list_files, check_output):
        assert said(call, "s3://no-such-bucket/a").startswith(
            "There is no bucket s3://no-such-bucket: create it"
        )
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject",
            "Resource": f"arn:aws:s3:::{name}/*"}  # fmt: skip
    policy = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    fsspec.filesystem("s3").call_s3("put_bucket_policy", Bucket=name, Policy=policy)
    assert "because the store denies it" in said(check_output, f"{bucket}/a")
    assert list_files(f"{bucket}/a") == {}

    fsspec.get_filesystem_class("s3").clear_instance_cache()
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    assert "needs credentials, and none that are complete" in said(list_files, f"{bucket}/a")


def test_a_store_that_does_not_answer(bucket, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    monkeypatch.setattr(fsspec.get_filesystem_class("s3"), "retries", 1)
    text = said(list_files, f"{bucket}/a")
    assert text.startswith(f"{bucket}/a cannot be read: Could not connect")
    assert text.endswith("Check the network, and AWS_ENDPOINT_URL.")


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(StoreError, match=r"needs gcsfs: pip install 'cnnlab\[gcs\]'"):
        list_files("gs://bucket/a")


def test_errors_of_local_files_are_not_the_stores(bucket, tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        object_store.upload(f"{bucket}/a", {"x": tmp_path / "missing"})
    assert caught.value.filename == os.fspath(tmp_path / "missing")
