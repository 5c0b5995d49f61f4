"""What a person sees: plain lines with the time that is left, bars on a terminal."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time

import pytest
from maps_job import TinyJob

from bids_dtg.progress import Board


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_plain_lines_tell_how_far_all_is_every_minute(clock, capsys):
    board = Board(10)
    for number in range(10):
        board.lane(0).start(f"sub-{number}")
        clock[0] += 25
        board.advance(failed=number == 1)
    lines = [line for line in capsys.readouterr().err.splitlines() if " done" in line]
    assert [re.sub(r"^\d\d:\d\d:\d\d ", "", line) for line in lines] == [
        "3 of 10 done, 1 failed, about 3 min left",
        "6 of 10 done, 1 failed, about 2 min left",
        "9 of 10 done, 1 failed, about 25 s left",
    ]


def test_a_note_of_all_participants_appears_once(capsys):
    board = Board(3)
    for number in range(3):
        lane = board.lane(number)
        lane.start(f"sub-{number}")
        lane.note("The model was trained on runs cleaned differently.")
        lane.note(f"sub-{number}: no mask in sub-{number}_task-rest")
        lane.note(f"sub-{number}: {number} frames are lost")
        lane.note(f"sub-{number} was left out.")
    told = capsys.readouterr().err
    assert told.count("cleaned differently") == 1
    assert told.count("no mask") == 2
    assert "sub-0: no mask in sub-0_task-rest\n" in told
    assert "further participants: no mask in sub-*\n" in told
    assert told.count("frames are lost") == told.count("was left out") == 3


def run_on_a_terminal(command: list[str]) -> tuple[int, str]:
    """Run a program with standard error on a pseudo-terminal; return its code and what it drew."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    process = subprocess.Popen(
        command, stderr=theirs, stdout=subprocess.DEVNULL, env=environment
    )
    os.close(theirs)
    drawn, end = b"", time.monotonic() + 120
    while time.monotonic() < end and select.select([ours], [], [], 120)[0]:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        drawn += piece
    os.close(ours)
    return process.wait(timeout=60), drawn.decode()


@pytest.mark.slow
def test_the_log_of_a_run_holds_what_it_printed(tmp_path, capsys):
    job = TinyJob(tmp_path, ("01", "02"))
    next(job.bids.glob("sub-02/func/*confounds*.tsv")).write_text("\x1b[31m\n")
    for words in (["--participant-label", "01"], ["--participant-label", "02", "9"]):
        code = job.run("--nprocs", 1, *words)
        printed = capsys.readouterr().err.splitlines()
        log = max(
            job.out.glob("logs/*/log.txt"), key=lambda path: path.stat().st_mtime_ns
        )
        logged = log.read_text().splitlines()
        assert [line[20:] for line in logged] == [
            re.sub(r"^\d\d:\d\d:\d\d ", "", line) for line in printed
        ]
    assert (code, "\x1b" in log.read_text()) == (1, False)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs a pseudo-terminal")
def test_bars_on_a_terminal(tmp_path):
    job = TinyJob(tmp_path, ("01", "02", "03"))
    next(job.bids.glob("sub-02/func/*confounds*.tsv")).write_text("x\n")
    code, drawn = run_on_a_terminal(
        [
            sys.executable,
            "-m",
            "bids_dtg.cli",
            *job.arguments("--nprocs", 2, "--no-reports"),
        ]
    )
    assert code == 1
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn)
    assert "\x1b[" in drawn
    assert "Traceback" not in plain
    assert re.search(r"of 3 done", plain)
    assert re.search(r"\[\d/3\] sub-02: failed: ", plain)
    assert plain.count("3 maps from 10.0 minutes of rest") == 2
    assert (
        plain.rstrip()
        .splitlines()[-1]
        .startswith("3 participants: 2 sets of maps written")
    )
    (log,) = job.out.glob("logs/*/log.txt")
    logged = log.read_text()
    assert "\x1b" not in logged
    for line in ("sub-02: failed: ", "sub-03_task-rest: 3 maps", "2 sets of maps"):
        assert re.search(
            rf"^\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d .*{line}", logged, re.MULTILINE
        )
    # The bars are taken away, and the cursor is shown again.
    assert drawn.rfind("\x1b[?25h") > drawn.rfind("\x1b[?25l")
