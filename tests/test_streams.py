"""Streams that are closed, full or without a reader: exit codes and results stay the same."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from functools import partial

import pytest
from forked_jobs import ForkingProcess, spoil
from tiny_job import TinyJob, tree

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is of Linux")

STATES = ("closed", "full", "gone")
STREAMS = {0: "stdin", 1: "stdout", 2: "stderr"}
SPOILT = [(number, state) for number in STREAMS for state in STATES]
NO_SPACE = "error: standard output cannot be written: No space left on device\n"
# What is asked for, of which program and module, and the exit code.
CALLS = {
    "bids_dtg --help": ("bids_dtg", "bids_dtg.cli", ["--help"], 0),
    "bids_dtg --version": ("bids_dtg", "bids_dtg.cli", ["--version"], 0),
    "bids_dtg": ("bids_dtg", "bids_dtg.cli", [], 2),
    "bids_dtg, no such folder": ("bids_dtg", "bids_dtg.cli", ["/no", "/o", "participant"], 2),
    "dtg-models list": ("dtg-models", "bids_dtg.cli.models", ["list"], 0),
    "dtg-models --help": ("dtg-models", "bids_dtg.cli.models", ["--help"], 0),
    "dtg-models": ("dtg-models", "bids_dtg.cli.models", [], 2),
    "dtg-demo --help": ("dtg-demo", "bids_dtg.cli.demo", ["--help"], 0),
    "dtg-demo /": ("dtg-demo", "bids_dtg.cli.demo", ["/"], 2),
    "dtg-phantom --help": ("dtg-phantom", "bids_dtg.cli.phantom", ["--help"], 0),
    "dtg-phantom /": ("dtg-phantom", "bids_dtg.cli.phantom", ["/"], 2),
    "bids_dtg.report": ("bids_dtg.report", "bids_dtg.report", [], 2),
}

EACH_PROGRAM = {
    "bids_dtg, no such folder",
    "dtg-models list",
    "dtg-demo --help",
    "dtg-phantom /",
    "bids_dtg.report",
}


def begin(module: str, words: list[str], spoilt: tuple[int, str] | None = None):
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    streams["stdin"] = subprocess.DEVNULL
    return subprocess.Popen(
        [sys.executable, "-m", module, *words],
        **streams,
        preexec_fn=partial(spoil, *spoilt) if spoilt else None,
    )


def end(process: subprocess.Popen) -> tuple[int, str, str]:
    output, error = process.communicate(timeout=120)
    return process.returncode, output.decode(), error.decode()


@pytest.mark.slow
@pytest.mark.parametrize("call", CALLS)
def test_every_program_ends_as_on_whole_streams(call):
    program, module, words, code = CALLS[call]
    whole = end(begin(module, words))
    assert whole[0] == code
    # Each program has one call with all streams spoilt in all ways; others begin by the same code.
    chosen = SPOILT if call in EACH_PROGRAM else [(1, "full"), (2, "closed")]
    ended = {spoilt: end(process) for spoilt, process in _all_at_once(module, words, chosen)}
    for (number, state), (found, output, error) in ended.items():
        lost = number == 1 and state == "full" and whole[1]
        assert found == (1 if lost else code), (number, state)
        assert output == ("" if number == 1 else whole[1]), (number, state)
        if number != 2:
            assert error == (f"{program}: {NO_SPACE}" if lost else whole[2]), (number, state)


def _all_at_once(module: str, words: list[str], chosen: list[tuple[int, str]]):
    return [(spoilt, begin(module, words, spoilt)) for spoilt in chosen]


@pytest.mark.slow
@pytest.mark.parametrize(("state", "code"), [("closed", 0), ("gone", 0), ("full", 2)])
def test_the_reports_program_reads_its_input_to_the_end(tmp_path, state, code):
    found, output, error = end(begin("bids_dtg.report", [str(tmp_path)], (0, state)))
    assert (found, output) == (code, "")
    assert ("standard input is no list of requests" in error) == (code == 2)


@pytest.fixture(scope="module")
def forking():
    with ForkingProcess() as process:
        yield process


@pytest.fixture(scope="module")
def job(tmp_path_factory) -> TinyJob:
    job = TinyJob(tmp_path_factory.mktemp("streams"))
    assert job.run() == 0
    return job


@pytest.mark.slow
@pytest.mark.parametrize(("number", "state"), SPOILT, ids=lambda value: STREAMS.get(value, value))
def test_maps_do_not_hang_on_streams(forking, job, tmp_path, number, state):
    out, plan, error = tmp_path / "out", tmp_path / "plan", tmp_path / "error"
    for words in (job.arguments(out=out), job.arguments("--dry-run")):
        codes = forking.run(words, streams={number: state}, stdout=plan, stderr=error)
        lost = (number, state) == (1, "full") and "--dry-run" in words
        assert codes == [1 if lost else 0], words
    # Only the description names the folder of the input, as seen from that of the output.
    but = ("logs", "dataset_description.json")
    assert tree(out, but=but) == tree(job.out, but=but)
    if number != 1:
        assert plan.read_text().splitlines()[-1].endswith("0 would fail; no output was written")
    if number != 2:
        lines = error.read_text().splitlines(keepends=True)
        assert (lines[-1] == f"bids_dtg: {NO_SPACE}") == ((number, state) == (1, "full"))
        assert not any("Traceback" in line for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize("state", STATES)
def test_reports_are_made_without_standard_streams(forking, job, tmp_path, state):
    """Their program would receive files of this one as its own streams."""
    words = [word for word in job.arguments(out=tmp_path) if word != "--no-reports"]
    assert forking.run(words, streams=dict.fromkeys(STREAMS, state)) == [0]
    assert (tmp_path / "sub-01.html").is_file()
    assert not [path for path in tmp_path.rglob("*.html") if not path.read_text().startswith("<!")]


def _all_spoilt(state: str) -> None:
    for number in reversed(STREAMS):
        spoil(number, state)


@pytest.mark.parametrize(
    "state", ["closed", *(pytest.param(state, marks=pytest.mark.slow) for state in STATES[1:])]
)
def test_simulated_people_are_written_without_standard_streams(tmp_path, state):
    out = tmp_path / "out"
    words = [str(out), "--participants", "1", "--frames", "50"]
    program = [sys.executable, "-m", "bids_dtg.cli.phantom", *words]
    done = subprocess.run(program, preexec_fn=partial(_all_spoilt, state), check=False)
    assert done.returncode == 0
    assert len(list(out.glob("fmriprep/sub-*/func/*_bold.nii.gz"))) == 1


def test_a_failed_participant_is_still_the_exit_code(forking, tmp_path):
    job = TinyJob(tmp_path)
    (bad,) = job.bids.rglob("*bold.nii.gz")
    bad.write_bytes(b"no image")
    assert forking.run(job.arguments(), streams={2: "full"}) == [1]
    (failures,) = job.out.glob("logs/*/failures.tsv")
    assert failures.read_text().splitlines()[1].startswith("sub-01\t")


def test_bars_on_a_terminal_that_goes_away():
    """The program writes to one whose window is closed; its bars must not end the work."""
    script = r"""
import os, sys
from bids_dtg.streams import mend_streams
mend_streams()
from bids_dtg.progress import Board
with Board(2) as board:
    assert board.bars is not None
    lane = board.lane(0)
    lane.start("sub-01")
    os.write(1, b"ready\n")  # a bar shows what is printed above it
    sys.stdin.read()
    board.note("a note")
    lane.stage("reading", 0.5)
    lane.finish("done")
    board.advance()
    board.before_fork()
    lane.start("sub-02")
print("goes on")
"""
    window, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=terminal,
        env=os.environ | {"TERM": "xterm"},
    )
    os.close(terminal)
    assert process.stdout.readline() == b"ready\n"
    os.close(window)
    assert process.communicate(timeout=60)[0] == b"goes on\n"
    assert process.returncode == 0


@pytest.mark.parametrize("state", STATES)
def test_lines_of_a_program_that_imports_the_package(state):
    """It has mended nothing, and may fork afterwards."""
    script = """
import os
from bids_dtg.notices import say
say("one")
if os.fork() == 0:
    say("two")
    os._exit(0)
assert os.wait()[1] == 0
print("goes on")
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        preexec_fn=partial(spoil, 2, state),
        check=True,
    )
    assert done.stdout == b"goes on\n"
