"""A disk that is small."""

import shutil
import subprocess

import pytest


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 3 MB of its own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("a disk of its own can be mounted by root only")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def fill(disk, *, leaving):
    """Writes a file that leaves that many bytes free."""
    free = shutil.disk_usage(disk).free
    (disk / "ballast").write_bytes(b"\1" * max(0, free - leaving))
