"""Many participants, some broken, by every way of working; killed at random and resumed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from dask_cluster import DaskCluster
from tiny_job import TinyJob, read_table, tree

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc"),
]
LABELS = tuple(f"{number:03d}" for number in range(100))
BROKEN = LABELS[7::20]  # 5 %
COMPLETE = len(LABELS) - len(BROKEN)


def start(job: TinyJob, out: Path, *options: object) -> subprocess.Popen[bytes]:
    """Start the program as a user does; what it says is appended to a file beside OUT."""
    words = job.arguments("--no-reports", *options, out=out)
    with out.with_suffix(".txt").open("ab") as told:
        return subprocess.Popen([sys.executable, "-m", "bids_dtg.cli", *words], stderr=told)


def last_lines(out: Path) -> str:
    """Return what the program said last."""
    return out.with_suffix(".txt").read_text()[-3000:]


def maps(folder: Path) -> dict[str, str]:
    return {name: content for name, content in tree(folder).items() if name.endswith(".nii.gz")}


def differences(out: Path, whole: Path) -> dict[str, object]:
    """Return by how much each image of two folders differs at most, where its bytes do."""
    one, other = maps(out), maps(whole)
    found: dict[str, object] = dict.fromkeys(one.keys() ^ other.keys(), "in one folder alone")
    for name in sorted(one.keys() & other.keys()):
        if one[name] != other[name]:
            values = [nib.load(folder / name).get_fdata() for folder in (out, whole)]
            found[name] = float(np.abs(values[0] - values[1]).max()), float(np.abs(values).max())
    return found


def failures(folder: Path) -> list[tuple[str, str]]:
    """Return who failed, and why, by the tables of all calls."""
    tables = (read_table(path) for path in folder.glob("logs/*/failures.tsv"))
    return sorted((row["participant_id"], row["message"]) for rows in tables for row in rows)


@pytest.fixture(scope="module")
def crowd(tmp_path_factory) -> TinyJob:
    """Make the crowd, of whom 5 % have a file that ends early; work on it in one process."""
    job = TinyJob(tmp_path_factory.mktemp("crowd"), LABELS)
    for label in BROKEN:
        bold = next(job.bids.glob(f"sub-{label}/func/*preproc_bold.nii.gz"))
        bold.write_bytes(bold.read_bytes()[:-400])
    assert start(job, job.folder / "whole", "--nprocs", 1).wait() == 1
    return job


def assert_same(crowd: TinyJob, out: Path) -> None:
    """Those who are broken failed, each with its line; the maps of all others are the same."""
    whole = crowd.folder / "whole"
    assert {label for label, _ in failures(whole)} == {f"sub-{label}" for label in BROKEN}
    assert failures(out) == failures(whole)
    assert sum(name.endswith("_statmap.nii.gz") for name in maps(out)) == 3 * COMPLETE
    assert differences(out, whole) == {}


def records(out: Path) -> dict[str, int]:
    """Return when each complete participant was completed."""
    return {path.name: path.stat().st_mtime_ns for path in out.glob("logs/complete/*.json")}


def wait_for_records(out: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 120
    while len(records(out)) < count and process.poll() is None:
        assert time.monotonic() < end, last_lines(out)
        time.sleep(0.01)


def test_two_processes(crowd):
    out = crowd.folder / "pool"
    assert start(crowd, out, "--nprocs", 2).wait() == 1
    assert_same(crowd, out)


def test_four_calls_into_one_folder(crowd):
    out = crowd.folder / "four"
    calls = [start(crowd, out, "--participant-label", *LABELS[first::4]) for first in range(4)]
    # Of the broken ones (7, 27, …) all are in the last quarter.
    assert [call.wait() for call in calls] == [0, 0, 0, 1]
    assert_same(crowd, out)
    table = read_table(out / "participants.tsv")
    complete = sorted(set(LABELS) - set(BROKEN))
    rows = [row["participant_id"] for row in table]
    assert [row for row in rows if row.removeprefix("sub-") in complete] == [
        f"sub-{label}" for label in complete
    ]


@pytest.mark.flaky(reruns=1)  # waits for killed processes
def test_dask_with_a_worker_killed_on_the_way(crowd, tmp_path):
    pytest.importorskip("distributed")
    out = crowd.folder / f"dask-{tmp_path.name}"  # another one when it is run again
    with DaskCluster(tmp_path / "dask") as dask:
        call = start(crowd, out, "--scheduler", dask.address)
        wait_for_records(out, 30, call)
        before = records(out)
        dask.workers[0].kill()
        assert call.wait() == 1
    assert_same(crowd, out)
    assert len(before) < COMPLETE
    assert records(out).items() >= before.items()


def descendants(pid: int) -> list[int]:
    """Return the processes that a process has started, and theirs."""
    try:
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [int(child) for child in found] + [d for child in found for d in descendants(int(child))]


@pytest.mark.flaky(reruns=1)  # waits for killed processes
def test_killed_at_random_and_resumed(crowd, tmp_path):
    rng, out = random.Random(5), crowd.folder / f"killed-{tmp_path.name}"
    ways = ["kill", "terminate", *["a child"] * 3]
    rng.shuffle(ways)
    for way in ways:
        before = records(out)
        call = start(crowd, out, "--nprocs", 2)
        wait_for_records(out, len(before) + rng.randrange(1, 12), call)
        if way == "a child":  # a worker, or the process that reads ahead for it
            children = descendants(call.pid)
            assert len(children) >= 3
            os.kill(rng.choice(children), signal.SIGKILL)
            wait_for_records(out, len(before) + 13, call)
        call.kill() if way == "kill" else call.terminate()
        expected = -signal.SIGKILL if way == "kill" else 143
        assert call.wait(timeout=60) == expected, last_lines(out)
        assert records(out).items() >= before.items()
    before = records(out)
    assert len(before) < COMPLETE
    assert start(crowd, out, "--nprocs", 2).wait() == 1
    assert records(out).items() >= before.items()
    assert differences(out, crowd.folder / "whole") == {}
    assert not list(out.rglob(".dtg-*"))
    assert "Traceback" not in out.with_suffix(".txt").read_text()


@pytest.mark.flaky(reruns=1)  # waits for killed processes
def test_scheduler_and_its_workers_killed_at_random_and_resumed(crowd, tmp_path):
    pytest.importorskip("distributed")
    rng, out = random.Random(6), crowd.folder / f"killed-dask-{tmp_path.name}"
    for number, who in enumerate(["scheduler", "worker", "scheduler", "first"]):
        with DaskCluster(tmp_path / f"dask-{number}") as dask:
            before = records(out)
            call = start(crowd, out, "--scheduler", dask.address)
            wait_for_records(out, len(before) + rng.randrange(1, 15), call)
            killed = {"scheduler": dask.scheduler, "worker": dask.workers[1], "first": call}[who]
            killed.kill()
            if who == "worker":  # the other does its work, until the call is stopped
                wait_for_records(out, len(before) + 20, call)
                call.terminate()
            code = call.wait(timeout=60)
            expected = {"scheduler": 1, "worker": 143, "first": -signal.SIGKILL}[who]
            assert code == expected, last_lines(out)
        assert records(out).items() >= before.items()
        assert "Traceback" not in out.with_suffix(".txt").read_text()
    with DaskCluster(tmp_path / "dask") as dask:
        before = records(out)
        assert start(crowd, out, "--scheduler", dask.address).wait() == 1
    assert records(out).items() >= before.items()
    assert differences(out, crowd.folder / "whole") == {}
