"""Files that a user names are written whole or not at all, and looked at before the work begins."""

import errno
import os
import resource
import stat

import pytest

from cnnlab.cli.main import main
from cnnlab.errors import UserError
from cnnlab.storage.output_file import check_output, check_space, output_file


@pytest.fixture
def files_of_at_most():
    """Limits the size of files, as a full disk would: a write past it is an error."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_was_there_is_replaced_by_a_whole_file(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("old")
    path.chmod(0o640)
    with output_file(path) as temporary:
        assert temporary.suffix == ".txt"
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["x.txt"]


def test_of_a_write_that_fails_nothing_stays(tmp_path, files_of_at_most):
    path = tmp_path / "x.txt"
    path.write_text("old")
    files_of_at_most(100_000)
    too_large = pytest.raises(UserError, match=r"x\.txt cannot be written: File too large")
    with too_large, output_file(path) as temporary:
        temporary.write_bytes(bytes(200_000))
    with pytest.raises(ZeroDivisionError), output_file(path):
        _ = 1 / 0
    assert (os.listdir(tmp_path), path.read_text()) == (["x.txt"], "old")


def test_a_disk_without_room_is_found_before_the_work(tmp_path, files_of_at_most):
    files_of_at_most(1000)
    with pytest.raises(UserError, match="cannot be written: File too large"):
        check_output(tmp_path / "x")
    assert os.listdir(tmp_path) == []
    with pytest.raises(UserError, match=r"takes 1,048,576\.0 MiB, and its disk has .* MiB left"):
        check_space(tmp_path / "x", 2**40)


def test_a_full_disk_says_how_much_is_left(tmp_path):
    full = pytest.raises(UserError, match=r"No space left on device \(\d+ MiB free\)")
    with full, output_file(tmp_path / "x"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def bad_paths(folder):
    """Paths that no command may write to, each with what is said of it."""
    (folder / "a_folder").mkdir()
    (folder / "a_file").write_text("text")
    (folder / "link.png").symlink_to(folder / "a_file")
    (folder / "broken.png").symlink_to(folder / "nowhere")
    os.mkfifo(folder / "pipe.png")
    (folder / "loop.png").symlink_to(folder / "loop.png")
    return {
        folder / "link.png": "is a link to",
        folder / "broken.png": "is a link to",
        folder / "loop.png": "is a link to",
        folder / "pipe.png": "is a device or a pipe",
        folder / "none" / "x.png": "there is no folder",
        folder / "a_file" / "x.png": "there is no folder",
        folder / f"{'x' * 300}.png": "File name too long",
        folder / ("x" * 300) / "x.png": "File name too long",
    }


def test_what_cannot_be_written_is_one_sentence(tmp_path):
    for path, sentence in bad_paths(tmp_path).items():
        with pytest.raises(UserError, match=sentence):
            check_output(path)
    with pytest.raises(UserError, match="is a folder, and should be a file"):
        check_output(tmp_path / "a_folder")
    with pytest.raises(UserError, match="is a device or a pipe"):
        check_output("/dev/null")


COMMANDS = [
    ["find_lr", "--config=mlp_digits"],
    ["report", "no_run"],
    ["results", "no_run"],
    ["export", "--workdir=no_run"],
    ["export", "--workdir=no_run", "--format=stablehlo"],
    ["features", "--workdir=no_run"],
    ["analyze", "curves", "no_run"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_says_it_before_it_begins(command, tmp_path, capsys):
    """A run that does not exist would be the next mistake; the data are not loaded either."""
    for path, sentence in bad_paths(tmp_path).items():
        assert main(["launch.py", *command, f"--out={path}"]) == 1
        printed = capsys.readouterr().err
        assert sentence in printed
        assert printed.startswith("error: --out=")
        assert printed.count("\n") == 1
    assert (tmp_path / "a_file").read_text() == "text"
    assert (tmp_path / "link.png").is_symlink()


def test_course_needs_a_folder(tmp_path, capsys):
    file = tmp_path / "file"
    file.write_text("")
    cases = [(file, "is a file"), (file / "x", "is a file"), ("/dev/null", "is a file"),
             (tmp_path / ("x" * 300), "name too long")]  # fmt: skip
    for path, sentence in cases:
        assert main(["launch.py", "course", "pooling", f"--out={path}"]) == 1
        printed = capsys.readouterr().err
        assert (sentence in printed, printed.count("\n")) == (True, 1)


def test_paths_that_are_too_long_are_one_sentence(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    long = "x" * 300
    for command in (
        ["train", "--config=mlp_digits", f"--workdir={long}"],
        ["train", "--config=mlp_digits", f"--config.data.name=folder:{long}"],
        ["eval", f"--workdir={long}"],
        ["report", long],
        ["train", f"--config={long}.py"],
        ["sweep", "--config=mlp_digits", "--param=seed=range(2)", f"--study={long}"],
    ):
        assert main(["launch.py", *command]) == 1, command
        printed = [x for x in capsys.readouterr().err.splitlines() if not x.startswith("data: ")]
        assert len(printed) == 1
        assert printed[0].startswith("error: ")
    assert os.listdir(tmp_path) == []
