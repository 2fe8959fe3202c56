"""The start of a process, which may be a second one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cnnlab.cli.start import LARGE_PAGES, TUNABLES, wants_large_pages

ROOT = Path(__file__).parents[2]
SCRIPT = """
import os, sys
from cnnlab.cli import main, start
main.run = lambda: print(os.getpid(), os.environ.get("GLIBC_TUNABLES"), *sys.argv[1:])
start.start()
"""


def started(tmp_path, **environment):
    """What the command line sees of its process: number, variable, arguments."""
    script = tmp_path / "launch.py"
    script.write_text(SCRIPT)
    plain = {name: value for name, value in os.environ.items() if name != TUNABLES}
    process = subprocess.Popen(
        [sys.executable, script, "train", "--config=x y"],
        stdout=subprocess.PIPE,
        text=True,
        env={**plain, "PYTHONPATH": str(ROOT), **environment},
    )
    words, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return process.pid, words.strip()


def test_the_process_asks_for_large_pages_before_it_begins(tmp_path, monkeypatch):
    monkeypatch.delenv(TUNABLES, raising=False)
    if not wants_large_pages():
        pytest.skip("this system's C library has no large pages")
    pid, words = started(tmp_path)
    assert words == f"{pid} {LARGE_PAGES} train --config=x y"


def test_what_the_user_has_set_stays(tmp_path):
    pid, words = started(tmp_path, **{TUNABLES: "glibc.malloc.check=0"})
    assert words == f"{pid} glibc.malloc.check=0 train --config=x y"
