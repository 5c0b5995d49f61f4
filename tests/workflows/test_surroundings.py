"""Machines and folders that are not as usual: no home, no temporary folder, names of any bytes."""

from __future__ import annotations

import os
import pwd
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from fmriprep_dataset import describe_dataset
from tiny_job import TinyJob, add_rest, read_table

PROGRAM = [sys.executable, "-m", "bids_dtg.cli"]
# Not UTF-8; red on a terminal; text turned around; a line of its own.
NAME = os.fsdecode(b"in\xff\x1b[31m\xe2\x80\xae\nall done")
SHOWN = r"in\xff\x1b[31m\u202e\nall done"
ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f\u202e]")
ASCII = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}


def program(*words: object, env=os.environ, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *map(str, words)], capture_output=True, env=env, check=False, **options
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


def test_a_transform_without_a_home_is_a_line_about_it(tmp_path, monkeypatch, capsys):
    job = TinyJob(tmp_path, ())
    add_rest(job.bids, space="MNI152NLin2009cAsym")
    monkeypatch.setattr(pwd, "getpwuid", _no_entry)
    for name in ("HOME", "XDG_CACHE_HOME", "TEMPLATEFLOW_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert job.run() == 1
    line = next(line for line in capsys.readouterr().err.splitlines() if "failed:" in line)
    assert "no home folder is known" in line
    assert "set TEMPLATEFLOW_HOME to a folder that has, or may receive, tpl-MNI" in line


@pytest.mark.parametrize(
    "words",
    [
        ["~nosuchuser/in", "out", "participant"],
        ["in", "~nosuchuser/out", "participant"],
        ["in", "out", "participant", "--atlases", "~nosuchuser/a.nii"],
        ["in", "out", "participant", "--derivatives", "fmriprep=~nosuchuser/x"],
        ["in", "out", "group", "--analysis", "train", "-d", "statmaps=~nosuchuser/x"],
        ["in", "out", "participant", "--config-file", "~nosuchuser/c.toml"],
    ],
)
def test_a_home_of_nobody_is_exit_2(tmp_path, words, capsys, monkeypatch):
    from bids_dtg.cli.run import main

    monkeypatch.chdir(tmp_path)
    (describe_dataset(tmp_path / "in", kind="raw") / "sub-01").mkdir()
    try:
        code = main(words)
    except SystemExit as end:
        code = end.code
    assert code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "~nosuchuser/" in line
    assert "internal error" not in line


def test_quoted_homes_are_expanded(tmp_path, monkeypatch, capsys):
    job = TinyJob(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    job.bids, job.out = Path("~/fmriprep"), Path("~/out")
    assert job.run("--dry-run") == 0
    assert f"to {tmp_path}/out/sub-01/func" in capsys.readouterr().out
    assert not Path("~").exists()


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
        if path.suffix in {".tsv", ".json", ".md", ".html", ".toml"}:
            assert not ACTING.search(path.read_text("utf-8")), path
    again = program(*strange.arguments("--participant-label", "01", out=out))
    assert b"1 complete before" in again.stderr


@pytest.mark.slow
def test_a_plan_with_names_of_any_bytes(strange):
    done = program(*strange.arguments("--dry-run"), env=os.environ | ASCII)
    assert done.returncode == 1
    lines = done.stdout.decode("ascii").splitlines()
    assert lines[0].endswith(f"{SHOWN}/fmriprep is read as fMRIPrep derivatives, cleaned by simple")
    assert lines[-1].startswith("2 participants, 1 would fail")
    assert not any(ACTING.search(line) for line in lines)


@pytest.mark.slow
def test_pybids_and_names_of_any_bytes(strange, tmp_path):
    filters = tmp_path / "filters.json"
    filters.write_text('{"bold": {"suffix": "bold"}}')
    done = program(*strange.arguments("--bids-filter-file", filters, out=tmp_path / "out"))
    assert done.returncode == 1
    assert b"internal error" not in done.stderr
    assert b"a name is not UTF-8" in done.stderr


TITLE = "\x1b]0;owned\x07\u202e\n00:00:00 [1/1] sub-01: all is well"


@pytest.mark.slow
def test_words_of_a_model_act_on_nobody(tmp_path, capsys):
    from tiny_bundle import write_tiny_bundle

    from bids_dtg.cli.models import main as models

    job = TinyJob(tmp_path)
    job.model, job.reports = tmp_path / "hostile", True
    words = {"notice": TITLE, "citation": TITLE, "description": TITLE, "licence": TITLE}
    write_tiny_bundle(job.model, **words)
    assert job.run() == 0
    assert job.run("--dry-run") == 0
    assert models(["info", str(job.model)]) == 0
    shown = capsys.readouterr()
    lines = [*shown.err.splitlines(), *shown.out.splitlines()]
    assert any(r"\x1b]0;owned\x07\u202e" in line for line in lines)
    assert not any(ACTING.search(line) or line.startswith("00:00:00") for line in lines)
    pages = [path for path in job.out.rglob("*") if path.suffix in {".html", ".md", ".tsv"}]
    assert {path.suffix for path in pages} == {".html", ".md", ".tsv"}
    assert not [path for path in pages if ACTING.search(path.read_text("utf-8"))]


# --- temporary folders, the current folder, signals


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
    assert f"{tmp_path / 'missing'}, /tmp cannot be used for temporary files: No usable" in error
    assert "To do: set TMPDIR" in error
    assert not job.out.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_temporary_folder_without_space(tmp_path):
    job = TinyJob(tmp_path)
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(small)]
    script = f'{" ".join(mount)} || exit 77; exec "$@"'
    words = ["unshare", "-m", "sh", "-c", script, "sh", *PROGRAM, *job.arguments()]
    done = subprocess.run(
        words, env=os.environ | {"TMPDIR": str(small)}, capture_output=True, check=False
    )
    if done.returncode in (1, 77) and (b"unshare" in done.stderr or b"mount" in done.stderr):
        pytest.skip("nothing can be mounted here")
    (line,) = done.stderr.decode().splitlines()
    assert done.returncode == 2
    assert f"{small} cannot be used for temporary files: No space left on device" in line


def test_a_current_folder_that_is_gone(tmp_path):
    job = TinyJob(tmp_path)
    words = ["sh", "-c", 'mkdir "$0" && cd "$0" && rmdir "$0" && exec "$@"', tmp_path / "gone"]
    done = subprocess.run(
        [*words, *PROGRAM, *job.arguments()], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(
        "bids_dtg: error: the current folder cannot be used: No such file or directory."
    )


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_signals_end_with_what_is_left(tmp_path, number):
    job = TinyJob(tmp_path)
    process = subprocess.Popen([*PROGRAM, *job.arguments()], stderr=subprocess.PIPE, text=True)
    lines = [process.stderr.readline()]
    while "sub-01" not in lines[-1]:
        lines.append(process.stderr.readline())
    process.send_signal(number)
    lines += process.communicate(timeout=60)[1].splitlines()
    assert process.returncode == 128 + number
    line = f"bids_dtg: ended by signal {number:d}; finished participants are kept"
    assert lines.count(line) == 1
    assert "0 of 1 participant finished; the same command does what is left" in lines
    assert not list(job.out.rglob(".dtg-*"))


@pytest.mark.slow
def test_a_terminal_that_closes_is_reported_once(tmp_path):
    """All processes of the terminal get the signal; the first one decides."""
    job = TinyJob(tmp_path, tuple(f"{number:02d}" for number in range(1, 31)))
    process = subprocess.Popen(
        [*PROGRAM, *job.arguments()], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    while "maps from" not in process.stderr.readline():
        pass  # until one of many is done: all processes have begun
    os.killpg(process.pid, signal.SIGHUP)
    error = process.communicate(timeout=60)[1]
    assert process.returncode == 128 + signal.SIGHUP
    assert error.count("ended by signal 1") == 1


@pytest.mark.slow
def test_nohup_goes_on(tmp_path):
    job = TinyJob(tmp_path)
    process = subprocess.Popen(
        [*PROGRAM, *job.arguments()],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    process.stderr.readline()
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=60)
    assert process.returncode == 0


# --- numbers that are too long


LONG = "9" * 5000


@pytest.mark.parametrize(
    "option",
    ["--nprocs", "--omp-nthreads", "--mem-gb", "--seed", "--fd-threshold", "--min-minutes"],
)
def test_long_numbers_are_exit_2(tmp_path, option, capsys):
    from bids_dtg.cli.run import main

    (tmp_path / "in").mkdir()
    words = [str(tmp_path / "in"), str(tmp_path / "out"), "participant", option, LONG]
    assert main(words) == 2
    assert "internal error" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "line", [f"seed = {LONG}", f"fd_threshold = {'9' * 400}", f"min_minutes = {'9' * 400}"]
)
def test_long_numbers_in_a_configuration_are_exit_2(tmp_path, line, capsys):
    from bids_dtg.cli.run import main
    from bids_dtg.settings import OPTIONS

    config = tmp_path / "config.toml"
    config.write_text(f"[{OPTIONS[line.split()[0]].group}]\n{line}\n")
    (tmp_path / "in").mkdir()
    words = [str(tmp_path / "in"), str(tmp_path / "out"), "participant"]
    assert main([*words, "--config-file", str(config)]) == 2
    assert "internal error" not in capsys.readouterr().err
