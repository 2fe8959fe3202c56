"""One study on several machines, over a real PostgreSQL server on the loopback interface.

The machines are processes with folders of their own. Skipped where the server's programs are not
installed (Debian: `apt-get install postgresql`) or its client is not (`cnnlab[postgresql]`).
"""

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from cnnlab import sweep
from cnnlab.errors import UserError
from cnnlab.sweep.study.leases import PostgresLeases
from cnnlab.sweep.study.study import open_study
from tests.sweep.objectives import CALLS, parabola, slow_curve
from tests.sweep.test_study import told

pytest.importorskip("psycopg", reason="pip install 'cnnlab[postgresql]'")

ROOT = Path(__file__).parents[2]
SPACE = {"x": "uniform(0, 1)"}
OPTIONS = {"sampler": "random", "direction": "maximize"}


def find_program(name):
    folders = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    path = os.pathsep.join([*map(str, folders), os.environ["PATH"]])
    return shutil.which(name, path=path)


@pytest.fixture(scope="module")
def server():
    """URL of a database that lives as long as this module's tests."""
    initdb, postgres = find_program("initdb"), find_program("postgres")
    if initdb is None or postgres is None:
        pytest.skip("PostgreSQL's server is not installed: apt-get install postgresql")
    owner = {}
    folder = Path(tempfile.mkdtemp(prefix="cnnlab-postgresql-"))
    if os.getuid() == 0:  # which the server refuses to be
        names = [user.pw_name for user in pwd.getpwall()]
        user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
        os.chown(folder, user.pw_uid, user.pw_gid)
        owner = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data, quiet = folder / "data", {"stdout": subprocess.DEVNULL, "cwd": folder}
    subprocess.run([initdb, "-D", data, "-U", "cnnlab", "--auth=trust", "--no-sync"], check=True,
                   **owner, **quiet)  # fmt: skip
    settings = {"listen_addresses": "127.0.0.1", "port": port, "fsync": "off",
                "unix_socket_directories": folder}  # fmt: skip
    command = [postgres, "-D", data, *(f"--{name}={value}" for name, value in settings.items())]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, **owner, **quiet)
    try:
        deadline = time.monotonic() + 60
        while socket.socket().connect_ex(("127.0.0.1", port)):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield f"postgresql://cnnlab:secret@127.0.0.1:{port}/postgres"
    finally:
        process.send_signal(signal.SIGINT)  # "fast": does not wait for clients
        process.wait()
        shutil.rmtree(folder)


def machine(folder, url, trials):
    """A process that works on the study as another machine would, with a folder of its own."""
    code = (
        "from cnnlab import sweep\n"
        "from tests.sweep.objectives import slow_curve\n"
        f"sweep.run({SPACE}, slow_curve, folder={str(folder)!r}, trials={trials}, "
        f"storage={url!r}, **{OPTIONS})\n"
    )
    return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)


@pytest.mark.slow
def test_two_machines_one_of_which_dies(server, tmp_path, monkeypatch):
    """A third takes its place; the study is number for number that of one undisturbed process."""
    whole = sweep.run(SPACE, slow_curve, folder=tmp_path / "whole" / "shared", trials=24,
                      **OPTIONS)  # fmt: skip
    calls = tmp_path / "calls"
    calls.mkdir()
    monkeypatch.setenv(CALLS, str(calls))
    machines = {name: machine(tmp_path / name / "shared", server, 24) for name in "ab"}
    while not all((calls / str(process.pid)).exists() for process in machines.values()):
        time.sleep(0.01)
    machines["a"].kill()
    machines["c"] = machine(tmp_path / "c" / "shared", server, 24)
    assert machines["b"].wait(timeout=300) == 0
    assert machines["c"].wait(timeout=300) == 0

    study = open_study(tmp_path / "b" / "shared", None, storage_url=server, trials=None)
    results = study.results()
    assert results.counts == whole.counts
    assert told(results) == told(whole)

    # Another study under that name is refused, from any machine.
    with pytest.raises(UserError, match="the storage's study 'shared' holds another study"):
        sweep.run(SPACE, parabola, folder=tmp_path / "d" / "shared", trials=3, storage=server)
    with pytest.raises(UserError, match="has its trials in postgresql://cnnlab@127"):
        sweep.run(SPACE, slow_curve, folder=tmp_path / "b" / "shared", storage="postgresql://x/y",
                  **OPTIONS)  # fmt: skip
    description = (tmp_path / "b" / "shared" / "study.json").read_text()
    assert "secret" not in description
    assert json.loads(description)["storage"].startswith("postgresql://cnnlab@127.0.0.1:")


def test_leases(server):
    """Two sessions: a lock is the other's until it drops it or its connection ends."""
    one, two = PostgresLeases(server, "s"), PostgresLeases(server, "s")
    assert one.take(3)
    assert not one.take(3)
    assert not two.take(3)
    assert not two.is_free(3)
    assert not one.is_free(3)
    assert two.is_free(4)
    assert PostgresLeases(server, "another study").is_free(3)
    one.drop(3)
    assert two.take(3)
    two._connection.close()
    deadline = time.monotonic() + 10
    while not one.is_free(3):
        assert time.monotonic() < deadline
    with one.mutex():
        pass


def test_server_that_does_not_answer(tmp_path):
    with pytest.raises(UserError, match=r"storage cannot be reached: .*refused"):
        sweep.run(SPACE, parabola, folder=tmp_path / "s", trials=1,
                  storage="postgresql://127.0.0.1:9/none")  # fmt: skip
    assert not (tmp_path / "s").exists()
