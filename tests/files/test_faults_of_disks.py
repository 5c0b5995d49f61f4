"""What each fault of a disk gives, at each kind of call: one table.

A call that succeeds at the second attempt is "done"; nothing that was there before is ever lost.
"""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path

import pytest

from bids_dtg.cli.exits import call
from bids_dtg.files.atomic import write_atomic
from bids_dtg.files.derivatives import participants_in, prepare_output_folder
from bids_dtg.files.foreign import read_bytes, require_listable
from bids_dtg.files.locks import Locks

ALWAYS = 99  # times that a call fails


class FullFile(io.BytesIO):
    """A file that cannot take what is written to it."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def writelines(self, _data):
        raise OSError(self.number, os.strerror(self.number))

    write = writelines


def failing(monkeypatch, door, number, times, *, on=""):
    """Let a call of the system fail a number of times, for paths that contain some text."""
    module, _, name = door.rpartition(".")
    times_to_go = [times]
    original = {"os": os, "io": io, "fcntl": __import__("fcntl")}[module]
    does = getattr(original, name)

    def fails(*words, **options):
        if on in str(words[0]) and times_to_go[0]:
            times_to_go[0] -= 1
            raise OSError(number, os.strerror(number), str(words[0]))
        return does(*words, **options)

    monkeypatch.setattr(door, fails)


def write(folder):
    write_atomic(folder / "maps.nii.gz", b"new")


def read(folder):
    assert read_bytes(folder / "maps.nii.gz") == b"old"


def list_participants(folder):
    assert participants_in(folder) == ("01",)


def list_files(folder):
    require_listable(folder / "sub-01")


def lock(folder):
    with Locks(folder / "logs" / "locks") as locks:
        assert locks.take("sub-01") is None


def begin(folder):
    prepare_output_folder(folder)


DONE = (0, "")
TABLE = [
    # what is done, the call that fails, errno, times, exit code and what the line says
    (read, "io.open", errno.ESTALE, 1, *DONE),
    (read, "io.open", errno.ESTALE, ALWAYS, 1, "network disk mounted anew"),
    (
        read,
        "io.open",
        errno.EIO,
        ALWAYS,
        1,
        "maps.nii.gz cannot be read: Input/output",
    ),
    (write, "io.open", errno.ESTALE, 1, *DONE),
    (write, "io.open", errno.ESTALE, ALWAYS, 1, "network disk mounted anew"),
    (write, "io.open", errno.EDQUOT, ALWAYS, 1, "your quota"),
    (write, "io.open", errno.ENOSPC, ALWAYS, 1, "free space there"),
    (write, "io.open", errno.EIO, ALWAYS, 1, "maps.nii.gz cannot be written"),
    (write, "os.replace", errno.ESTALE, 1, *DONE),
    (write, "os.replace", errno.ESTALE, ALWAYS, 1, "network disk mounted anew"),
    (write, "os.replace", errno.EDQUOT, ALWAYS, 1, "your quota"),
    (write, "os.replace", errno.EIO, ALWAYS, 1, "maps.nii.gz cannot be written"),
    (list_participants, "os.scandir", errno.ESTALE, 1, *DONE),
    (list_participants, "os.scandir", errno.EIO, ALWAYS, 2, "cannot be listed"),
    (list_files, "os.scandir", errno.ESTALE, 1, *DONE),
    (list_files, "os.scandir", errno.ESTALE, ALWAYS, 1, "network disk mounted anew"),
    (list_files, "os.scandir", errno.EIO, ALWAYS, 1, "sub-01 cannot be listed"),
    (list_files, "os.scandir", errno.EACCES, ALWAYS, 1, "ask its owner"),
    (lock, "fcntl.flock", errno.ENOLCK, ALWAYS, *DONE),
    (lock, "fcntl.flock", errno.ENOSYS, ALWAYS, *DONE),
    (lock, "fcntl.flock", errno.EIO, ALWAYS, 1, "sub-01.lock cannot be written"),
    (lock, "fcntl.flock", errno.ESTALE, ALWAYS, 1, "network disk mounted anew"),
    (lock, "os.mkdir", errno.EDQUOT, ALWAYS, 1, "your quota"),
    (begin, "os.mkdir", errno.EDQUOT, ALWAYS, 2, "your quota"),
    (begin, "io.open", errno.EDQUOT, ALWAYS, 2, "your quota"),
    (begin, "io.open", errno.ENOSPC, ALWAYS, 2, "free space there"),
    (begin, "io.open", errno.EACCES, ALWAYS, 2, "choose another folder"),
]


@pytest.mark.parametrize(("does", "door", "number", "times", "code", "line"), TABLE)
def test_a_fault_of_the_disk(
    tmp_path, monkeypatch, capsys, does, door, number, times, code, line
):
    (tmp_path / "sub-01").mkdir()
    (tmp_path / "maps.nii.gz").write_bytes(b"old")
    with monkeypatch.context() as patch:
        failing(
            patch,
            door,
            number,
            times,
            on="" if door == "fcntl.flock" else str(tmp_path),
        )
        assert (
            call("p", lambda: does(tmp_path) or 0, debug=False, interrupted="") == code
        )
    log = capsys.readouterr().err
    assert line in log
    assert log.count("\n") == (code != 0)
    written = b"new" if does is write and code == 0 else b"old"
    assert (tmp_path / "maps.nii.gz").read_bytes() == written
    names = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    # An empty lock file is nobody's.
    assert names - {"sub-01.lock"} == {"maps.nii.gz"}


@pytest.mark.parametrize("number", [errno.EDQUOT, errno.ENOSPC, errno.EIO])
def test_a_file_that_cannot_be_filled_leaves_the_old_one(
    tmp_path, monkeypatch, capsys, number
):
    (tmp_path / "maps.nii.gz").write_bytes(b"old")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", lambda *_: FullFile(number))
        write_it = lambda: write(tmp_path) or 0  # noqa: E731
        assert call("p", write_it, debug=False, interrupted="") == 1
    assert "maps.nii.gz cannot be written" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["maps.nii.gz"]
    assert read_bytes(tmp_path / "maps.nii.gz") == b"old"


def test_a_disk_without_inodes_says_so(tmp_path, monkeypatch, capsys):
    class Space:
        f_files, f_favail = 1000, 0

    monkeypatch.setattr("os.statvfs", lambda _: Space, raising=False)
    failing(monkeypatch, "io.open", errno.ENOSPC, ALWAYS, on=str(tmp_path))
    assert call("p", lambda: write(tmp_path) or 0, debug=False, interrupted="") == 1
    assert (
        "no further file fits there, although there is space" in capsys.readouterr().err
    )


def test_logs_that_cannot_be_written_are_told_before_anything_is_done(tmp_path, capsys):
    (tmp_path / "logs").write_text("")
    assert call("p", lambda: begin(tmp_path) or 0, debug=False, interrupted="") == 2
    assert (
        f"{tmp_path}/logs, in OUTPUT_DIR, cannot be written to"
        in capsys.readouterr().err
    )
