from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bids_dtg.errors import OutputError
from bids_dtg.files.atomic import remove_stale_temporaries, temporary_name, write_atomic
from bids_dtg.files.text import write_json, write_tsv


def names_in(folder):
    return [path.name for path in folder.iterdir()]


def test_file_and_folders_are_made_with_the_umask_s_permissions(tmp_path):
    old = os.umask(0o027)
    try:
        write_atomic(tmp_path / "a/b/file.bin", b"\x00\x01")
    finally:
        os.umask(old)
    target = tmp_path / "a/b/file.bin"
    assert target.read_bytes() == b"\x00\x01"
    assert target.stat().st_mode & 0o777 == 0o640
    assert names_in(target.parent) == ["file.bin"]


def host_of(temporary: str) -> str:
    """Return the part of a temporary's name that stands for the host."""
    return temporary.split("-")[1]


def failing(number):
    def write(*_):
        raise OSError(number, os.strerror(number))

    return write


@pytest.mark.parametrize(
    ("number", "message"),
    [(errno.ENOSPC, "No space left.*free space"), (errno.EROFS, "Read-only.*mount")],
)
def test_failed_write_names_the_file_and_leaves_the_old_one(
    tmp_path, monkeypatch, number, message
):
    target = tmp_path / "map.nii.gz"
    write_atomic(target, b"old")
    monkeypatch.setattr(Path, "replace", failing(number))
    with pytest.raises(
        OutputError, match=rf"map\.nii\.gz cannot be written: {message}"
    ):
        write_atomic(target, b"new")
    assert target.read_bytes() == b"old"
    assert names_in(tmp_path) == ["map.nii.gz"]


@pytest.mark.skipif(
    not Path("/dev/full").exists(), reason="no /dev/full on this system"
)
def test_full_disk_is_noticed_at_the_last_byte(tmp_path, monkeypatch):
    full = Path("/dev/full").open("wb")  # noqa: SIM115
    monkeypatch.setattr(Path, "open", lambda *_: full)
    with pytest.raises(OutputError, match=r"x\.bin cannot be written: No space left"):
        write_atomic(tmp_path / "x.bin", b"0" * 10)


def test_interrupt_leaves_no_temporary(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(tmp_path / "x", b"1")
    assert names_in(tmp_path) == []


def test_long_names_fit(tmp_path):
    target = tmp_path / ("a" * 255)
    write_atomic(target, b"1")
    assert target.read_bytes() == b"1"


def test_json_refuses_nan(tmp_path):
    write_json(tmp_path / "a.json", {"Name": "Zürich"})
    assert json.loads((tmp_path / "a.json").read_text("utf-8")) == {"Name": "Zürich"}
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "b.json", {"x": float("nan")})
    assert not (tmp_path / "b.json").exists()


@pytest.mark.slow
@given(st.text(max_size=20))
def test_a_cell_is_never_more_than_one_cell(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("tsv") / "a.tsv"
    write_tsv(path, ["a", "b"], [(text, float("nan"))])
    lines = path.read_text("utf-8").split("\n")
    assert lines[0] == "a\tb"
    assert lines[1].split("\t")[1:] == ["n/a"]
    assert lines[2:] == [""]


def leave_temporary(folder, name, age_seconds=0.0):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(b"part")
    then = time.time() - age_seconds
    os.utime(path, (then, then))
    return path


def test_temporary_of_a_killed_process_is_removed(tmp_path):
    code = (
        "import sys; from pathlib import Path; from bids_dtg.files.atomic import temporary_name;"
        "Path(sys.argv[1], temporary_name()).write_bytes(b'')"
    )
    folder = tmp_path / "sub-01/func"
    folder.mkdir(parents=True)
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True)
    (temporary,) = folder.iterdir()
    remove_stale_temporaries(tmp_path / "sub-01")
    assert not temporary.exists()


def test_temporary_of_another_host_is_left_for_an_hour(tmp_path):
    foreign = temporary_name().replace(host_of(temporary_name()), "0" * 8)
    for age_seconds, names in ((0, [foreign]), (4000, [])):
        leave_temporary(tmp_path, foreign, age_seconds)
        remove_stale_temporaries(tmp_path)
        assert names_in(tmp_path) == names


@pytest.mark.parametrize("years", [-3, 3])
def test_temporary_of_a_living_process_is_left_whatever_the_clock_says(
    tmp_path, monkeypatch, years
):
    parent = temporary_name().replace(f"-{os.getpid()}-", f"-{os.getppid()}-")
    leave_temporary(tmp_path, parent)
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + years * 365.25 * 86400)
    remove_stale_temporaries(tmp_path)
    assert names_in(tmp_path) == [parent]


def test_files_of_others_are_never_removed(tmp_path):
    names = {".nfs0001", "x.tmp", ".dtg-notes.tmp", "sub-01_bold.nii.gz"}
    for name in names:
        leave_temporary(tmp_path, name, age_seconds=1e6)
    remove_stale_temporaries(tmp_path)
    assert set(names_in(tmp_path)) == names
    remove_stale_temporaries(tmp_path / "absent")


def of_a_gone_process() -> str:
    return temporary_name().replace(f"-{os.getpid()}-", "-99999999-")


def test_a_folder_that_a_killed_process_has_half_written_is_removed(tmp_path):
    temporary = tmp_path / of_a_gone_process()
    leave_temporary(temporary / "weights", "a.bin")
    remove_stale_temporaries(tmp_path)
    assert names_in(tmp_path) == []
