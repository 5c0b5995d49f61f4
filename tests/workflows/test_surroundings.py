"""Unusual machines and folders: no home, no temporary folder, arbitrary bytes in names."""

from __future__ import annotations

import os
import pwd
import re
import subprocess
import sys
import tempfile

import pytest
from maps_job import TinyJob, add_rest, read_table

PROGRAM = [sys.executable, "-m", "bids_dtg.cli"]
# Not UTF-8; red on a terminal; text turned around; a line of its own.
NAME = os.fsdecode(b"in\xff\x1b[31m\xe2\x80\xae\nall done")
SHOWN = r"in\xff\x1b[31m\u202e\nall done"
ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f\u202e]")
ASCII = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}


def program(
    *words: object, env=os.environ, **options
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *map(str, words)],
        capture_output=True,
        env=env,
        check=False,
        **options,
    )


# --- home folders


def _no_entry(number: int) -> None:
    raise KeyError(f"getpwuid(): uid not found: {number}")


@pytest.mark.slow
def test_a_user_without_home_and_entry_gets_maps(tmp_path, monkeypatch):
    job = TinyJob(tmp_path)
    monkeypatch.setattr(pwd, "getpwuid", _no_entry)
    for name in ("HOME", "XDG_CACHE_HOME", "TEMPLATEFLOW_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert job.run() == 0


@pytest.mark.slow
def test_a_transform_without_a_home_is_a_line_about_it(tmp_path, monkeypatch, capsys):
    job = TinyJob(tmp_path, ())
    add_rest(job.bids, space="MNI152NLin2009cAsym")
    monkeypatch.setattr(pwd, "getpwuid", _no_entry)
    for name in ("HOME", "XDG_CACHE_HOME", "TEMPLATEFLOW_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert job.run() == 1
    line = next(
        line for line in capsys.readouterr().err.splitlines() if "failed:" in line
    )
    assert "folder is unknown" in line
    assert "TEMPLATEFLOW_HOME" in line
    assert "tpl-MNI" in line


# --- names


@pytest.fixture(scope="module")
def strange(tmp_path_factory) -> TinyJob:
    folder = tmp_path_factory.mktemp("names") / NAME
    folder.mkdir()
    job = TinyJob(folder, ("01",))
    add_rest(job.bids, os.fsdecode(b"\xff"))
    return job


@pytest.mark.slow
@pytest.mark.parametrize("locale", [{}, ASCII], ids=["UTF-8", "ASCII"])
def test_names_of_any_bytes(strange, tmp_path, locale):
    out = strange.folder / f"out{len(locale)}"
    words = [word for word in strange.arguments(out=out) if word != "--no-reports"]
    done = program(*words, env=os.environ | locale)
    assert done.returncode == 1
    error = done.stderr.decode("ascii" if locale else "utf-8")
    assert f"{SHOWN}/out{len(locale)}/logs/" in error.splitlines()[-1]
    assert not any(ACTING.search(line) for line in error.splitlines())
    assert "all done/" not in [line[:9] for line in error.splitlines()]
    assert "internal error" not in error
    (failures,) = out.glob("logs/*/failures.tsv")
    (row,) = read_table(failures)
    assert row["participant_id"] == r"sub-\xff"
    assert "has a name that is not BIDS" in row["message"]
    assert len(list(out.glob("sub-01/func/*_statmap.nii.gz"))) == 3
    for path in out.rglob("*"):
        if path.suffix in {".tsv", ".json", ".md", ".html"}:
            assert not ACTING.search(path.read_text("utf-8")), path
    again = program(*strange.arguments("--participant-label", "01", out=out))
    assert b"1 already complete" in again.stderr


# --- temporary folders


def test_a_full_temporary_folder_is_one_early_line(tmp_path, monkeypatch, capsys):
    job = TinyJob(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", None)

    def candidates() -> list[str]:
        return ["/dev/full", str(tmp_path / "missing")]

    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", candidates)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "missing"))
    # What is imported and forked on the way may need such a folder of its own.
    from bids_dtg.cli.run import main

    assert main(job.arguments()) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert (
        "temporary files cannot be written: No usable temporary directory found in ["
        in error
    )
    assert f"'{tmp_path / 'missing'}'" in error
    assert "To do: set TMPDIR" in error
    assert not job.out.exists()
