"""Streams that are closed, full or without a reader: exit codes and results stay the same."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial

import pytest
from forked_jobs import ForkingProcess, spoil
from maps_job import TinyJob, tree

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is of Linux")

NO_SPACE = "error: standard output: No space left on device\n"
# What is asked for, of which program and module, and the exit code.
CALLS = {
    "bids_dtg, no such folder": (
        "bids_dtg",
        "bids_dtg.cli",
        ["/no", "/o", "participant"],
        2,
    ),
    "dtg-models list": ("dtg-models", "bids_dtg.cli.models", ["list"], 0),
    "dtg-phantom /": ("dtg-phantom", "bids_dtg.cli.phantom", ["/"], 2),
}


def begin(module: str, words: list[str], spoilt: tuple[int, str] | None = None):
    return subprocess.Popen(
        [sys.executable, "-m", module, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
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
    closed = [(number, "closed") for number in range(3)]
    for number, state in [(1, "full"), (1, "gone"), (2, "full"), *closed]:
        status, output, error = end(begin(module, words, (number, state)))
        lost = (number, state) == (1, "full") and whole[1]
        assert status == (1 if lost else code), (number, state)
        assert output == ("" if number == 1 else whole[1]), (number, state)
        if number != 2:
            assert error == (f"{program}: {NO_SPACE}" if lost else whole[2]), (
                number,
                state,
            )


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
@pytest.mark.parametrize(
    ("number", "state"), [(1, "full"), (2, "gone"), (2, "full"), (2, "closed")]
)
def test_maps_do_not_hang_on_streams(forking, job, tmp_path, number, state):
    out = tmp_path / "out"
    plan = tmp_path / "plan"
    error = tmp_path / "error"
    for words in (job.arguments(out=out), job.arguments("--dry-run")):
        codes = forking.run(words, streams={number: state}, stdout=plan, stderr=error)
        lost = (number, state) == (1, "full") and "--dry-run" in words
        assert codes == [1 if lost else 0], words
    # Only the description names the folder of the input, as seen from that of the output.
    but = ("logs", "dataset_description.json")
    assert tree(out, but=but) == tree(job.out, but=but)
    if number != 1:
        assert (
            plan.read_text()
            .splitlines()[-1]
            .endswith("0 would fail; no output was written")
        )
    if number != 2:
        assert "Traceback" not in error.read_text()


@pytest.mark.slow
def test_maps_and_pages_are_made_where_all_streams_are_closed(job, tmp_path):
    words = [
        word for word in job.arguments(out=tmp_path / "out") if word != "--no-reports"
    ]
    command = [sys.executable, "-m", "bids_dtg.cli", *words]
    done = subprocess.run(command, preexec_fn=partial(os.closerange, 0, 3), timeout=120)
    assert done.returncode == 0
    maps = "*_statmap.nii.gz"
    assert len([*tmp_path.rglob(maps)]) == len([*job.out.rglob(maps)]) > 0
    assert (tmp_path / "out/sub-01.html").is_file()


@pytest.mark.slow
def test_reports_are_made_without_standard_streams(forking, job, tmp_path):
    words = [word for word in job.arguments(out=tmp_path) if word != "--no-reports"]
    assert forking.run(words, streams={1: "gone", 2: "gone"}) == [0]
    assert (tmp_path / "sub-01.html").is_file()


@pytest.mark.slow
def test_a_failed_participant_is_still_the_exit_code(forking, tmp_path):
    job = TinyJob(tmp_path)
    (bad,) = job.bids.rglob("*bold.nii.gz")
    bad.write_bytes(b"no image")
    assert forking.run(job.arguments(), streams={2: "full"}) == [1]
    (failures,) = job.out.glob("logs/*/failures.tsv")
    assert failures.read_text().splitlines()[1].startswith("sub-01\t")
