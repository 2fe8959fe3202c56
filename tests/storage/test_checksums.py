"""Files of a folder that is being worked in: changes are noticed, kills are not taken for any."""

import pytest

from cnnlab.errors import UserError
from cnnlab.storage import checksums


class Killed(BaseException):
    """Stands for SIGKILL."""


def test_changes_are_noticed(tmp_path):
    path = tmp_path / "config.json"
    checksums.write(path, b"one")
    assert checksums.checked(path, path.read_bytes()) == b"one"
    for other in (b"", b"on", b"onf", b"one more"):
        with pytest.raises(UserError, match=r"config\.json is damaged or was edited"):
            checksums.checked(path, other)
    checksums.write(path, b"two")
    with pytest.raises(UserError):
        checksums.checked(path, b"one")
    checksums.forget(path)
    assert checksums.checked(path, b"anything") == b"anything"


def test_a_file_may_grow(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b"one")
    checksums.record(path)
    assert checksums.checked(path, b"one and two", grows=True)
    for other in (b"on", b"two and one"):
        with pytest.raises(UserError, match="is damaged or was edited"):
            checksums.checked(path, other, grows=True)


@pytest.mark.parametrize("old", [None, b"old"])
@pytest.mark.parametrize("moment", range(6))
def test_a_kill_leaves_the_old_file_or_the_new_one(tmp_path, monkeypatch, old, moment):
    path = tmp_path / "result.json"
    if old is not None:
        checksums.write(path, old)
    left = [moment]
    whole = checksums.atomic_write

    def killed(target):
        left[0] -= 1
        if left[0] < 0:
            raise Killed
        return whole(target)

    monkeypatch.setattr(checksums, "atomic_write", killed)
    monkeypatch.setattr("cnnlab.storage.manifest.atomic_write", killed)
    try:
        checksums.write(path, b"new")
    except Killed:
        pass
    else:
        assert moment >= 2
    found = path.read_bytes() if path.exists() else None
    assert found in (old, b"new")
    if found is not None:
        checksums.checked(path, found)


def test_damaged_checksums_are_named(tmp_path):
    checksums.write(tmp_path / "config.json", b"one")
    (tmp_path / checksums.CHECKSUMS).write_bytes(b"{}")
    with pytest.raises(UserError, match=r"checksums\.sha256 is damaged .* or remove it"):
        checksums.checked(tmp_path / "config.json", b"one")
